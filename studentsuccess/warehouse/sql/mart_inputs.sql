-- Everything that the marts are made of, as counts and sums of hashes: equal ones make equal marts. A run's id is not
-- part of it, because scoring the same again changes nothing.
SELECT 'prediction' AS name, count(*) AS rows, sum(hash(input)) AS content
FROM (SELECT * EXCLUDE (run_id) FROM ml.prediction WHERE out_of_sample) AS input
UNION ALL
SELECT 'submission', count(*), sum(hash(input)) FROM core.submission AS input
UNION ALL
SELECT 'course_run', count(*), sum(hash(input)) FROM core.course_run AS input
UNION ALL
SELECT 'model', count(*), sum(hash(input)) FROM (SELECT * EXCLUDE (run_id) FROM ml.model) AS input
