SELECT
    job, parent, key, model, place, experiment, compute, command, data, data_digest, submitted_at, run_id, state,
    fetched_model, archived_at
FROM ops.job
ORDER BY submitted_at, job
