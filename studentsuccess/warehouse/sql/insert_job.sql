INSERT INTO ops.job BY NAME
SELECT
    $job AS job, $parent AS parent, $key AS key, $model AS model, $place AS place, $experiment AS experiment,
    $compute AS compute, $command AS command, $data AS data, $data_digest AS data_digest,
    CAST($submitted_at AS TIMESTAMP) AS submitted_at, $run_id AS run_id, $state AS state
