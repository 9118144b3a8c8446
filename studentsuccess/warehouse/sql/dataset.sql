SELECT name, kind, run_id, path, rows, spec FROM ops.dataset WHERE name = $name
