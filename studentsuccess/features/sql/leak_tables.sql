-- The world as it might have gone on after the end of week $week of $term, with nothing changed before: clicks and
-- submissions that come later are dropped, doubled, moved and made up, marks that were not known yet are others, students
-- leave later, and how it all ended is turned around. Rows lie in another order than before.
CREATE SCHEMA core;
CREATE TABLE core.course_run AS SELECT * FROM world.core.course_run ORDER BY hash(course_run_id);
CREATE TABLE core.demographic AS SELECT * FROM world.core.demographic ORDER BY hash(enrollment_id);
CREATE TABLE core.assessment AS SELECT * FROM world.core.assessment ORDER BY hash(assessment_id);
CREATE TABLE core.enrollment AS
SELECT * FROM (
SELECT e.* REPLACE (
           CASE WHEN e.unregistered_day > 7 * $week THEN e.unregistered_day + 1 ELSE e.unregistered_day END AS unregistered_day,
           CASE WHEN outcome IN ('Pass', 'Distinction') THEN 'Fail' ELSE 'Pass' END AS outcome)
FROM world.core.enrollment AS e JOIN world.core.course_run AS r USING (course_run_id) WHERE r.term = $term
UNION ALL
SELECT e.* FROM world.core.enrollment AS e JOIN world.core.course_run AS r USING (course_run_id) WHERE r.term <> $term
)
ORDER BY hash(enrollment_id);
CREATE TABLE core.submission AS
SELECT * FROM (
WITH mine AS (
    SELECT s.*, r.term FROM world.core.submission AS s
    JOIN world.core.enrollment AS e USING (enrollment_id) JOIN world.core.course_run AS r USING (course_run_id)
)
SELECT assessment_id, enrollment_id, submitted_day,
       CASE WHEN term = $term AND submitted_day + $lag > 7 * $week THEN 100 - score ELSE score END AS score, banked
FROM mine WHERE term <> $term OR submitted_day <= 7 * $week
UNION ALL
SELECT assessment_id, enrollment_id, submitted_day + 3, 100 - score, banked
FROM mine WHERE term = $term AND submitted_day > 7 * $week AND hash(enrollment_id, assessment_id) % 2 = 0
)
ORDER BY hash(enrollment_id, assessment_id);
CREATE TABLE core.activity AS
SELECT * FROM (
WITH mine AS (
    SELECT a.*, r.term FROM world.core.activity AS a
    JOIN world.core.enrollment AS e USING (enrollment_id) JOIN world.core.course_run AS r USING (course_run_id)
)
SELECT enrollment_id, day, activity_type, clicks FROM mine WHERE term <> $term OR day <= 7 * $week
UNION ALL
SELECT enrollment_id, day + 1 + (hash(enrollment_id) % 5)::INTEGER, 'quiz', clicks * 7
FROM mine WHERE term = $term AND day > 7 * $week AND hash(enrollment_id, day) % 3 <> 0
)
ORDER BY hash(enrollment_id, day, clicks);
