SELECT * FROM ml.population ORDER BY week, course_run_id;
