-- Predictions that are not in the marts, or no longer are what stands there.
WITH predicted AS (
    SELECT course_run_id, week, student_id AS id_student, probability AS risk_score FROM ml.prediction WHERE out_of_sample
), published AS (
    SELECT course_run_id, week, id_student, risk_score FROM mart.student_risk_daily
)
SELECT
    (SELECT count(*) FROM (FROM predicted EXCEPT ALL FROM published))
    + (SELECT count(*) FROM (FROM published EXCEPT ALL FROM predicted))
