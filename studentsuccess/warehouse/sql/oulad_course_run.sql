-- The course runs of an OULAD export, as `core` has them.
INSERT INTO core.course_run BY NAME
SELECT
    code_module || '-' || code_presentation AS course_run_id,
    code_module AS course_id,
    code_presentation AS term,
    module_presentation_length AS length_days
FROM raw.courses
