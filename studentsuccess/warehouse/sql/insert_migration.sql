INSERT INTO ops.migration VALUES ($number, $name, $sha256, $applied_at)
