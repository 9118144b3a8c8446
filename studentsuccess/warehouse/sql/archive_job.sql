UPDATE ops.job SET archived_at = CAST($archived_at AS TIMESTAMP) WHERE job = $job AND archived_at IS NULL
