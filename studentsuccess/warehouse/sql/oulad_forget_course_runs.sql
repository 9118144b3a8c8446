DELETE FROM core.course_run WHERE course_run_id IN (SELECT course_run_id FROM incoming_run)
