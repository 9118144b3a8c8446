-- Of the reasons seen earlier only those of the week before the newest one are still of use.
DELETE FROM ops.reason_seen AS seen
WHERE NOT EXISTS (
    FROM (SELECT course_run_id, max(week) AS week FROM ml.prediction WHERE out_of_sample GROUP BY course_run_id) AS newest
    WHERE newest.course_run_id = seen.course_run_id AND newest.week - 1 = seen.week
);
