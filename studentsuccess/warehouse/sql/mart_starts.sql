-- Every course run with its term, of which the calendar is made, and the day of the load for terms that nobody knows.
SELECT
    course_run_id,
    term,
    coalesce(
        (SELECT max(loaded_at) FROM ops.dataset WHERE kind = 'oulad'),
        (SELECT max(finished_at) FROM ops.run)
    )::DATE AS load_day
FROM core.course_run
ORDER BY course_run_id
