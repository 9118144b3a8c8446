SELECT
    name, version, algorithm, task, target, trained_at, trained_where, run_id, rows_train, rows_holdout,
    holdout_basis, holdout_share, holdout_digest, data_digest, features, path, manifest_sha256
FROM ml.model
ORDER BY name, version
