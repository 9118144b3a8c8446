INSERT INTO core.assessment BY NAME
SELECT
    CAST(id_assessment AS VARCHAR) AS assessment_id,
    code_module || '-' || code_presentation AS course_run_id,
    assessment_type AS type,
    date AS due_day,
    weight
FROM raw.assessments
