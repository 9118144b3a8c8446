CREATE OR REPLACE TEMP TABLE incoming_run AS
SELECT DISTINCT code_module || '-' || code_presentation AS course_run_id FROM raw.courses
