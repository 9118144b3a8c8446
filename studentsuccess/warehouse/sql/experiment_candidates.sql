-- Everyone scored out of sample in the newest week of their course run, each student once: where the risk is highest.
WITH newest AS (
    SELECT * FROM ml.prediction WHERE out_of_sample
    QUALIFY week = max(week) OVER (PARTITION BY course_run_id)
), highest AS (
    SELECT * FROM newest
    QUALIFY row_number() OVER (PARTITION BY student_id ORDER BY probability DESC, course_run_id, enrollment_id) = 1
), runs AS (
    SELECT course_run_id, any_value(course_id) AS course_id, any_value(term) AS term
    FROM core.course_run GROUP BY course_run_id
)
SELECT
    h.student_id,
    h.enrollment_id,
    coalesce(r.course_id, h.course_run_id) AS code_module,
    coalesce(r.term, '') AS code_presentation,
    h.week,
    h.probability
FROM highest AS h LEFT JOIN runs AS r USING (course_run_id)
ORDER BY h.probability DESC, h.student_id;
