DELETE FROM core.submission WHERE enrollment_id IN (
    SELECT enrollment_id FROM core.enrollment
    WHERE course_run_id IN (SELECT course_run_id FROM incoming_run)
)
