DELETE FROM core.enrollment WHERE course_run_id IN (SELECT course_run_id FROM incoming_run)
