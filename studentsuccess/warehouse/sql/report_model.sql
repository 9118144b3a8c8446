SELECT run_id, rows_train, rows_holdout, holdout_basis, manifest_sha256
FROM ml.model
WHERE name = $name AND version = $version
