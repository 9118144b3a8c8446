-- One band of deprivation circulates without its sign: `10-20`. Its siblings all have it.
INSERT INTO core.demographic BY NAME
SELECT
    map.enrollment_id,
    info.gender,
    info.region,
    info.highest_education AS education,
    CASE WHEN regexp_full_match(info.imd_band, '[0-9]+-[0-9]+') THEN info.imd_band || '%' ELSE info.imd_band END
        AS deprivation,
    info.age_band,
    info.disability
FROM raw.studentInfo AS info
JOIN enrolment_map AS map
    ON map.course_run_id = info.code_module || '-' || info.code_presentation
    AND map.student_id = CAST(info.id_student AS VARCHAR)
ORDER BY map.place
