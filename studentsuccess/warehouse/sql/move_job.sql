UPDATE ops.job SET state = $state, fetched_model = coalesce($fetched_model, fetched_model) WHERE job = $job
