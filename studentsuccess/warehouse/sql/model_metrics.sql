-- The figures of all classes together; those of one class stand in the manifest too.
SELECT name, version, source, metric, value
FROM ml.metric
WHERE class IS NULL
ORDER BY name, version, source, metric
