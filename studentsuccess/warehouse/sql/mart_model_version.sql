SELECT
    used.name || '@' || used.version AS model,
    used.name,
    used.version,
    model.algorithm,
    model.target,
    model.trained_at,
    model.trained_where
FROM (SELECT DISTINCT name, version FROM ml.prediction WHERE out_of_sample) AS used
LEFT JOIN ml.model AS model USING (name, version)
ORDER BY used.name, used.version
