INSERT INTO ml.model BY NAME
SELECT
    $name AS name, $version AS version, $algorithm AS algorithm, $task AS task, $target AS target,
    CAST($trained_at AS TIMESTAMP) AS trained_at, $trained_where AS trained_where, $run_id AS run_id,
    $rows_train AS rows_train, $rows_holdout AS rows_holdout, $holdout_basis AS holdout_basis,
    $holdout_share AS holdout_share, $holdout_digest AS holdout_digest, $data_digest AS data_digest,
    $features AS features, $path AS path, $manifest_sha256 AS manifest_sha256
