-- What raises the risk of each enrolment, what can be acted on first, the strongest first.
--
-- Who somebody is (`core.demographic`) is no subject of a call and stays off a list that is passed around, and so does
-- the course, which the list names anyway; `ss explain --student` has them.
WITH newest AS (
    SELECT DISTINCT enrollment_id, course_run_id, student_id, week
    FROM ml.prediction
    WHERE out_of_sample
    QUALIFY week = max(week) OVER (PARTITION BY course_run_id)
)
SELECT
    newest.course_run_id,
    newest.student_id,
    newest.enrollment_id,
    reason.feature,
    reason.effect,
    reason.actionable,
    reason.words
FROM ml.reason AS reason
INNER JOIN newest USING (enrollment_id, week)
WHERE
    reason.effect > 0
    AND reason.feature NOT IN ('gender', 'region', 'education', 'deprivation', 'age_band', 'disability', 'course_id')
ORDER BY newest.enrollment_id, reason.actionable DESC, reason.effect DESC, reason.rank, reason.feature;
