SELECT
    run.course_run_id,
    run.course_id AS code_module,
    run.term AS code_presentation,
    starts.start_date,
    run.length_days,
    max(risk.week) AS newest_week
FROM core.course_run AS run
JOIN starts USING (course_run_id)
JOIN student_risk AS risk USING (course_run_id)
GROUP BY ALL
ORDER BY run.course_run_id
