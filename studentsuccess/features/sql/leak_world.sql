-- What every future shares: what has no day, and the clicks of the terms that are not scored; in another order than before.
CREATE SCHEMA core;
CREATE TABLE core.course_run AS SELECT * FROM world.core.course_run ORDER BY hash(course_run_id);
CREATE TABLE core.demographic AS SELECT * FROM world.core.demographic ORDER BY hash(enrollment_id);
CREATE TABLE core.assessment AS SELECT * FROM world.core.assessment ORDER BY hash(assessment_id);
CREATE TABLE elsewhere AS
SELECT a.* FROM world.core.activity AS a
ANTI JOIN (
    SELECT e.enrollment_id FROM world.core.enrollment AS e
    JOIN world.core.course_run AS r USING (course_run_id) WHERE r.term = $term
) AS mine USING (enrollment_id)
ORDER BY hash(enrollment_id, day, clicks);
CREATE VIEW core.activity AS FROM elsewhere;
