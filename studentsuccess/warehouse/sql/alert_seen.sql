-- The reasons that students had in the week before the newest one of their course run, where they are known.
WITH newest AS (
    SELECT course_run_id, max(week) AS week FROM ml.prediction WHERE out_of_sample GROUP BY course_run_id
)
SELECT seen.course_run_id, seen.student_id, seen.feature
FROM ops.reason_seen AS seen
INNER JOIN newest USING (course_run_id)
WHERE seen.week = newest.week - 1
ORDER BY ALL;
