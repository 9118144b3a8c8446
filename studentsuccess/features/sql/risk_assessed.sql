-- What was due, handed in and marked by the end of week $week; a mark is known $lag days after its submission, and is
-- held against the marks of the same assessment that were known by then. Sums of decimals have an order, so that not
-- one bit of them hangs on how rows lie in the file.
CREATE OR REPLACE TEMP TABLE risk_assessed AS
WITH due AS (
    SELECT course_run_id, assessment_id, due_day, coalesce(weight, 0) AS weight, type
    FROM core.assessment
    WHERE due_day <= 7 * $week AND type <> 'Exam'
),
known AS (
    SELECT s.enrollment_id, s.assessment_id, s.submitted_day, s.banked, a.due_day, a.weight, a.type,
           CASE WHEN s.submitted_day + $lag <= 7 * $week THEN s.score END AS score
    FROM core.submission AS s
    JOIN core.assessment AS a USING (assessment_id)
    WHERE s.submitted_day <= 7 * $week
),
marks AS (
    SELECT assessment_id,
           avg(score ORDER BY enrollment_id) AS mean,
           stddev_pop(score ORDER BY enrollment_id) AS spread
    FROM known WHERE score IS NOT NULL GROUP BY assessment_id
),
handed_in AS (
    SELECT k.enrollment_id,
           count(*) FILTER (k.type <> 'Exam') AS submitted,
           count(*) FILTER (k.due_day <= 7 * $week AND k.type <> 'Exam') AS submitted_due,
           count(*) FILTER (k.due_day > 7 * $week AND k.type <> 'Exam') AS early,
           sum(k.weight ORDER BY k.assessment_id) FILTER (k.due_day <= 7 * $week AND k.type <> 'Exam') AS weight_due,
           count(*) FILTER (NOT k.banked AND k.submitted_day > k.due_day) AS late,
           avg(k.submitted_day - k.due_day) FILTER (NOT k.banked) AS lateness,
           last(k.submitted_day - k.due_day ORDER BY k.due_day, k.assessment_id)
               FILTER (NOT k.banked AND k.due_day IS NOT NULL) AS lateness_last,
           count(*) FILTER (k.banked) AS banked,
           avg(k.score ORDER BY k.assessment_id) AS score_mean,
           min(k.score) AS score_least,
           last(k.score ORDER BY k.submitted_day, k.assessment_id) FILTER (k.score IS NOT NULL) AS score_last,
           sum(k.score * k.weight ORDER BY k.assessment_id) AS weighted,
           sum(k.weight ORDER BY k.assessment_id) FILTER (k.score IS NOT NULL) AS weight_marked,
           avg((k.score - m.mean) / nullif(m.spread, 0) ORDER BY k.assessment_id) AS score_relative,
           max(k.submitted_day) AS last_submitted
    FROM known AS k
    LEFT JOIN marks AS m USING (assessment_id)
    GROUP BY k.enrollment_id
),
asked AS (
    SELECT course_run_id, count(*) AS due, sum(weight ORDER BY assessment_id) AS weight, max(due_day) AS last_due,
           last(assessment_id ORDER BY due_day, assessment_id) AS last_one
    FROM due GROUP BY course_run_id
)
SELECT p.enrollment_id,
       coalesce(a.due, 0) AS due,
       coalesce(a.due, 0) - coalesce(h.submitted_due, 0) AS missed,
       coalesce(h.submitted_due, 0) / nullif(a.due, 0) AS submitted_share,
       coalesce(h.weight_due, 0) / nullif(a.weight, 0) AS weight_share,
       coalesce(h.submitted, 0) AS submitted,
       coalesce(h.early, 0) AS early,
       coalesce(h.late, 0) AS late,
       h.lateness, h.lateness_last, coalesce(h.banked, 0) AS banked,
       h.score_mean, h.score_least, h.score_last,
       h.weighted / nullif(h.weight_marked, 0) AS score_weighted,
       coalesce(h.weighted, 0) / 100.0 AS points,
       h.score_relative,
       7 * $week - h.last_submitted AS days_since_submission,
       CASE WHEN a.last_one IS NOT NULL THEN (l.assessment_id IS NULL)::INTEGER END AS missed_last
FROM risk_population AS p
LEFT JOIN asked AS a USING (course_run_id)
LEFT JOIN handed_in AS h USING (enrollment_id)
LEFT JOIN known AS l ON l.enrollment_id = p.enrollment_id AND l.assessment_id = a.last_one;
