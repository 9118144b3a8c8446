-- How the model did on what it was judged by when it was trained, for all classes together.
SELECT metric, value
FROM ml.metric
WHERE name = $name AND version = $version AND source = 'holdout' AND class IS NULL
ORDER BY metric
