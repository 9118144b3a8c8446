-- How many students a reason pushes towards failing, among the strongest reasons of each, and how hard on average.
WITH newest AS (
    SELECT enrollment_id, week FROM ml.prediction
    WHERE out_of_sample
    QUALIFY week = max(week) OVER (PARTITION BY course_run_id)
)
SELECT
    reason.feature,
    bool_or(reason.actionable) AS actionable,
    count(*) AS students,
    avg(CAST(reason.effect AS DECIMAL(18, 12))) AS push
FROM ml.reason AS reason
INNER JOIN newest ON reason.enrollment_id = newest.enrollment_id AND reason.week = newest.week
WHERE reason.effect > 0
GROUP BY reason.feature
ORDER BY count(*) * push DESC, reason.feature
