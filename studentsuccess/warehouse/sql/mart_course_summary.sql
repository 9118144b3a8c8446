-- Each course run and week, nothing hidden yet; `high` is how many are at high risk.
SELECT
    run_date,
    week,
    code_module,
    CAST(count(*) AS INTEGER) AS student_count,
    avg(CAST(risk_score AS DECIMAL(18, 15))) AS avg_risk_score,
    CAST(sum(high_risk_flag) AS INTEGER) AS high,
    code_presentation,
    course_run_id
FROM student_risk
GROUP BY ALL
ORDER BY run_date, code_module, code_presentation, week
