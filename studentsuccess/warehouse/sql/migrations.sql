SELECT number, name, sha256
FROM ops.migration
ORDER BY number
