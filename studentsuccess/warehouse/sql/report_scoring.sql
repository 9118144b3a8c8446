-- What was scored last, course run by course run: the newest week of each, and who it is that the model had not seen.
WITH newest AS (
    SELECT course_run_id, max(week) AS week FROM ml.prediction GROUP BY course_run_id
)
SELECT
    coalesce(any_value(run.term), '') AS term,
    any_value(p.name) AS name,
    any_value(p.version) AS version,
    newest.week,
    any_value(p.cutoff_day) AS cutoff_day,
    count(*) FILTER (p.out_of_sample) AS scored,
    count(*) FILTER (NOT p.out_of_sample) AS taught,
    coalesce(any_value(folk.gone), 0) AS gone,
    coalesce(any_value(folk.later), 0) AS later
FROM newest
INNER JOIN ml.prediction AS p ON newest.course_run_id = p.course_run_id AND newest.week = p.week
LEFT JOIN core.course_run AS run ON newest.course_run_id = run.course_run_id
LEFT JOIN ml.population AS folk ON newest.course_run_id = folk.course_run_id AND newest.week = folk.week
GROUP BY newest.course_run_id, newest.week
ORDER BY newest.course_run_id
