-- The world as it might have gone on after the end of week $week of $term, with nothing changed before: what comes later
-- is dropped, doubled, moved and made up, marks that were not known yet are others, students leave and register later,
-- and how it all ended is turned around; the other terms, too, go on differently from that day of the calendar.
CREATE OR REPLACE TEMP TABLE leak AS
SELECT e.*, r.term = $term AS scored, r.length_days,
       CASE WHEN r.term = $term THEN 7 * $week
            ELSE (SELECT min(start_day) FROM risk_run WHERE term = $term) + 7 * $week - r.start_day END AS known
FROM world.core.enrollment AS e JOIN risk_run AS r USING (course_run_id);
CREATE OR REPLACE TABLE core.enrollment AS
FROM (
SELECT enrollment_id, course_run_id, student_id,
       CASE WHEN registered_day > known THEN registered_day + 9 ELSE registered_day END AS registered_day,
       CASE WHEN unregistered_day > known THEN unregistered_day + 1
            WHEN unregistered_day IS NULL AND hash(enrollment_id) % 3 = 0 THEN known + 5
            ELSE unregistered_day END AS unregistered_day,
       credits, previous_attempts,
       CASE WHEN NOT scored AND coalesce(length_days <= known, known IS NULL) THEN outcome
            WHEN outcome IN ('Pass', 'Distinction') THEN 'Fail' ELSE 'Pass' END AS outcome
FROM leak WHERE coalesce(registered_day <= known, true) OR hash(enrollment_id) % 2 = 0
UNION ALL
SELECT -enrollment_id - 1, course_run_id, student_id, known + 1, NULL, credits, 0, 'Fail'
FROM leak WHERE known IS NOT NULL AND hash(enrollment_id) % 3 = 1
) ORDER BY hash(enrollment_id);
CREATE OR REPLACE TABLE core.submission AS
FROM (
WITH mine AS (
    SELECT s.*, e.known FROM world.core.submission AS s JOIN leak AS e USING (enrollment_id)
)
SELECT assessment_id, enrollment_id, submitted_day,
       CASE WHEN submitted_day + $lag > known THEN 100 - score ELSE score END AS score, banked
FROM mine WHERE known IS NULL OR submitted_day <= known
UNION ALL
SELECT assessment_id, enrollment_id, submitted_day + 3, 100 - score, banked
FROM mine WHERE submitted_day > known AND hash(enrollment_id, assessment_id) % 2 = 0
UNION ALL
SELECT a.assessment_id, e.enrollment_id, e.known + 2, 1, false
FROM leak AS e JOIN core.assessment AS a USING (course_run_id)
ANTI JOIN mine ON mine.enrollment_id = e.enrollment_id AND mine.assessment_id = a.assessment_id
WHERE e.known IS NOT NULL AND hash(e.enrollment_id, a.assessment_id) % 2 = 0
) ORDER BY hash(enrollment_id, assessment_id);
CREATE OR REPLACE TABLE here AS
FROM (
WITH mine AS (
    SELECT a.*, e.known FROM world.core.activity AS a JOIN leak AS e USING (enrollment_id) WHERE e.scored
)
SELECT enrollment_id, day, activity_type, clicks FROM mine WHERE day <= known
UNION ALL
SELECT enrollment_id, day + 1 + (hash(enrollment_id) % 5)::INTEGER, 'quiz', clicks * 7
FROM mine WHERE day > known AND hash(enrollment_id, day) % 3 <> 0
UNION ALL
SELECT enrollment_id, known + 1, 'forumng', 99 FROM leak WHERE scored
) ORDER BY hash(enrollment_id, day, clicks);
CREATE OR REPLACE VIEW core.activity AS FROM here UNION ALL FROM elsewhere;
