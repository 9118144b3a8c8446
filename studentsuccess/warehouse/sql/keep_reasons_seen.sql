-- The reasons of the newest week, for the week after it.
INSERT INTO ops.reason_seen BY NAME
WITH newest AS (
    SELECT DISTINCT enrollment_id, course_run_id, student_id, week
    FROM ml.prediction
    WHERE out_of_sample
    QUALIFY week = max(week) OVER (PARTITION BY course_run_id)
)
SELECT DISTINCT newest.course_run_id, newest.student_id, newest.week, reason.feature
FROM ml.reason AS reason
INNER JOIN newest USING (enrollment_id, week)
WHERE reason.effect > 0;
