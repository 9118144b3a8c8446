SELECT name, run_id, path FROM ops.dataset WHERE path <> '' ORDER BY name
