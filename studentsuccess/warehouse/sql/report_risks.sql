-- Every risk of the newest week that the model had not learned from, without the name behind it.
SELECT probability
FROM ml.prediction
WHERE out_of_sample
QUALIFY week = max(week) OVER (PARTITION BY course_run_id)
ORDER BY probability
