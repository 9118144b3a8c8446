SELECT e.enrollment_id, r.course_id, r.term, e.student_id FROM core.enrollment AS e JOIN core.course_run AS r USING (course_run_id);
