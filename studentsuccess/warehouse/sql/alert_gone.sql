-- How many had withdrawn before the newest week of their course run.
SELECT CAST(coalesce(sum(gone), 0) AS INTEGER)
FROM (FROM ml.population QUALIFY week = max(week) OVER (PARTITION BY course_run_id));
