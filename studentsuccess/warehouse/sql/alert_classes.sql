-- Each course run week by week: how many are scored, how many of them are at high risk, and their mean risk.
-- A mean of decimals is the same whatever order the threads add them in.
WITH runs AS (
    SELECT course_run_id, any_value(course_id) AS course_id, any_value(term) AS term
    FROM core.course_run
    GROUP BY course_run_id
)
SELECT
    scored.course_run_id,
    coalesce(runs.course_id, scored.course_run_id) AS code_module,
    coalesce(runs.term, '') AS code_presentation,
    scored.week,
    max(scored.cutoff_day) AS cutoff_day,
    count(*) AS students,
    count(*) FILTER (scored.probability >= $high_risk) AS high,
    avg(CAST(scored.probability AS DECIMAL(18, 15))) AS mean
FROM ml.prediction AS scored
LEFT JOIN runs USING (course_run_id)
WHERE scored.out_of_sample
GROUP BY ALL
ORDER BY code_presentation, scored.week, code_module, scored.course_run_id;
