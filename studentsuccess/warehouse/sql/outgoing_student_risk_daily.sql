-- The students under their pseudonyms, in the order of those, and without the course runs that the summary hides:
-- whoever counts rows must not find what is hidden there.
SELECT risk.* REPLACE (alias.pseudonym AS id_student)
FROM mart.student_risk_daily AS risk
JOIN alias ON alias.id_student = risk.id_student
WHERE risk.course_run_id NOT IN (SELECT course_run_id FROM mart.course_summary_daily WHERE student_count IS NULL)
