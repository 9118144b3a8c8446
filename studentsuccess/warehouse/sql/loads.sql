-- The loads, in the order of their commits.
SELECT key, inputs
FROM ops.run
WHERE command LIKE 'etl%'
ORDER BY sequence
