SELECT name, kind, run_id, path, rows, spec FROM ops.dataset ORDER BY name
