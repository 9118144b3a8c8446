-- What had come of a student's other enrolments by the calendar day of the cut-off: only those registered by then are
-- known, and only what had ended by then counts.
CREATE OR REPLACE TEMP TABLE risk_history AS
WITH other AS (
    SELECT p.enrollment_id, e.outcome, e.unregistered_day,
           run.start_day + run.length_days <= p.start_day + 7 * $week AS ended,
           run.start_day + e.unregistered_day <= p.start_day + 7 * $week AS left_by_then,
           run.start_day < p.start_day AS earlier,
           run.start_day = p.start_day AS beside,
           run.course_id = p.course_id AS same_course
    FROM risk_population AS p
    JOIN core.enrollment AS e ON e.student_id = p.student_id AND e.enrollment_id <> p.enrollment_id
    JOIN risk_run AS run ON run.course_run_id = e.course_run_id
    WHERE run.start_day <= p.start_day
      AND (e.registered_day IS NULL OR run.start_day + e.registered_day <= p.start_day + 7 * $week)
)
SELECT p.enrollment_id,
       count(o.enrollment_id) FILTER (o.earlier) AS earlier_enrolments,
       count(o.enrollment_id) FILTER (o.earlier AND o.ended AND o.outcome IN ('Pass', 'Distinction')) AS earlier_passed,
       count(o.enrollment_id) FILTER (
           o.earlier AND ((o.ended AND o.outcome IN ('Fail', 'Withdrawn')) OR o.left_by_then)) AS earlier_lost,
       count(o.enrollment_id) FILTER (o.earlier AND o.ended AND o.outcome = 'Distinction') AS earlier_distinctions,
       count(o.enrollment_id) FILTER (o.beside AND NOT coalesce(o.left_by_then, false)) AS courses_beside,
       count(o.enrollment_id) FILTER (o.beside AND o.left_by_then) AS left_beside
FROM risk_population AS p
LEFT JOIN other AS o USING (enrollment_id)
GROUP BY p.enrollment_id;
