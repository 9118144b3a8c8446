INSERT INTO core.submission BY NAME
SELECT
    CAST(submission.id_assessment AS VARCHAR) AS assessment_id,
    map.enrollment_id,
    submission.date_submitted AS submitted_day,
    submission.score,
    submission.is_banked = 1 AS banked
FROM raw.studentAssessment AS submission
JOIN raw.assessments AS assessment USING (id_assessment)
JOIN enrolment_map AS map
    ON map.course_run_id = assessment.code_module || '-' || assessment.code_presentation
    AND map.student_id = CAST(submission.id_student AS VARCHAR)

