-- What earlier loads said about these course runs goes: the export is their whole truth.
DELETE FROM core.activity WHERE enrollment_id IN (
    SELECT enrollment_id FROM core.enrollment
    WHERE course_run_id IN (SELECT course_run_id FROM incoming_run)
)
