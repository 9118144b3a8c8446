SELECT DISTINCT id_student FROM mart.student_risk_daily ORDER BY id_student
