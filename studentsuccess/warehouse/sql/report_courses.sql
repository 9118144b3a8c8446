-- The newest week of each course run as it is published; figures of few students are null there.
SELECT code_module, code_presentation, run_date, student_count, avg_risk_score, high_risk_rate
FROM mart.course_summary_daily
QUALIFY week = max(week) OVER (PARTITION BY course_run_id)
ORDER BY code_module, code_presentation, course_run_id
