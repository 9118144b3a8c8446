DELETE FROM mart.experiment_results WHERE kind = $kind AND (kind = 'simulation' OR name = $name);
