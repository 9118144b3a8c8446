INSERT INTO ops.run_target VALUES ($run_id, $target)
