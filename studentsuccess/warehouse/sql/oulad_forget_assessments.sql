DELETE FROM core.assessment WHERE course_run_id IN (SELECT course_run_id FROM incoming_run)
