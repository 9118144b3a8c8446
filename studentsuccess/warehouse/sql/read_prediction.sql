SELECT * FROM ml.prediction ORDER BY week, course_run_id, enrollment_id;
