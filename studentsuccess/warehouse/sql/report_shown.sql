-- Week by week, whether the published summary shows a number of students, a mean and a rate for at least one class of
-- every term: where it shows none, it counts on nobody publishing the total either. `newest` is the newest week of the
-- course runs.
WITH rows AS (
    SELECT *, week = max(week) OVER (PARTITION BY course_run_id) AS is_newest FROM mart.course_summary_daily
),
terms AS (
    SELECT
        week,
        is_newest,
        bool_or(student_count IS NOT NULL) AS students,
        bool_or(avg_risk_score IS NOT NULL) AS mean,
        bool_or(high_risk_rate IS NOT NULL) AS rate
    FROM rows
    GROUP BY GROUPING SETS ((code_presentation, week), (code_presentation, week, is_newest))
)
SELECT
    CASE WHEN is_newest THEN NULL ELSE week END AS week,
    bool_and(students) AS students,
    bool_and(mean) AS mean,
    bool_and(rate) AS rate
FROM terms
WHERE is_newest IS DISTINCT FROM false
GROUP BY ALL
ORDER BY week NULLS FIRST
