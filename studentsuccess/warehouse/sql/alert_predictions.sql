-- Everyone scored out of sample in the newest week of their course run, and in the week before that one.
WITH kept AS (
    SELECT *, max(week) OVER (PARTITION BY course_run_id) AS newest
    FROM ml.prediction
    WHERE out_of_sample
),
runs AS (
    SELECT course_run_id, any_value(course_id) AS course_id, any_value(term) AS term
    FROM core.course_run
    GROUP BY course_run_id
)
SELECT
    kept.course_run_id,
    coalesce(runs.course_id, kept.course_run_id) AS code_module,
    coalesce(runs.term, '') AS code_presentation,
    kept.student_id,
    kept.enrollment_id,
    kept.newest AS week,
    kept.newest - kept.week AS weeks_back,
    kept.cutoff_day,
    kept.probability,
    kept.decision,
    kept.name || '@' || kept.version AS model
FROM kept
LEFT JOIN runs USING (course_run_id)
WHERE kept.week >= kept.newest - 1
ORDER BY code_module, code_presentation, kept.course_run_id, weeks_back, kept.student_id, kept.enrollment_id;
