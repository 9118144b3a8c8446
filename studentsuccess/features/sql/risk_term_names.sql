SELECT DISTINCT term FROM core.course_run ORDER BY term;
