INSERT INTO core.enrollment BY NAME
SELECT
    map.enrollment_id,
    map.course_run_id,
    map.student_id,
    registration.date_registration AS registered_day,
    registration.date_unregistration AS unregistered_day,
    info.studied_credits AS credits,
    info.num_of_prev_attempts AS previous_attempts,
    info.final_result AS outcome
FROM raw.studentInfo AS info
JOIN enrolment_map AS map
    ON map.course_run_id = info.code_module || '-' || info.code_presentation
    AND map.student_id = CAST(info.id_student AS VARCHAR)
LEFT JOIN raw.studentRegistration AS registration USING (code_module, code_presentation, id_student)
ORDER BY map.place
