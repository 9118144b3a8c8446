-- The risk week by week. A mean of decimals is the same whatever order the threads add them in.
SELECT
    week,
    count(*) AS students,
    avg(CAST(probability AS DECIMAL(18, 15))) AS mean,
    count(*) FILTER (probability >= $high_risk) AS high
FROM ml.prediction
WHERE out_of_sample
GROUP BY week
ORDER BY week
