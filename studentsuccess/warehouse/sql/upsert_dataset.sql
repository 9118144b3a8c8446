INSERT INTO ops.dataset BY NAME
SELECT
    $name AS name, $kind AS kind, $run_id AS run_id, $path AS path, $rows AS rows, $spec AS spec,
    CAST($loaded_at AS TIMESTAMP) AS loaded_at
