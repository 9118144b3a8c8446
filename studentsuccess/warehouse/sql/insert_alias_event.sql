INSERT INTO ml.alias_event BY NAME
SELECT
    $name AS name, $alias AS alias, $version AS version, CAST($since AS TIMESTAMP) AS since, $run_id AS run_id,
    $why AS why
