-- Each enrolment's number for good: the one it had before, else the next free one, in the order of studentInfo.
CREATE OR REPLACE TEMP TABLE enrolment_map AS
WITH enrolment AS (
    SELECT
        place,
        code_module || '-' || code_presentation AS course_run_id,
        CAST(id_student AS VARCHAR) AS student_id
    FROM incoming
),
known AS (
    SELECT enrolment.*, enrollment.enrollment_id AS old_id
    FROM enrolment LEFT JOIN core.enrollment USING (course_run_id, student_id)
)
SELECT
    CAST(place AS INTEGER) AS place,
    course_run_id,
    student_id,
    old_id IS NULL AS is_new,
    CAST(coalesce(
        old_id,
        (SELECT coalesce(max(enrollment_id), 0) FROM core.enrollment)
        + row_number() OVER (PARTITION BY old_id IS NULL ORDER BY place)
    ) AS INTEGER) AS enrollment_id
FROM known
