-- The runs that made what the report is made of: the last one of each target, and the one that trained the model.
SELECT DISTINCT run.sequence, run.command, run.run_id, run.config_digest, run.program_version
FROM ops.run AS run
INNER JOIN ops.run_target AS target ON run.run_id = target.run_id
WHERE list_contains($targets::VARCHAR [], target.target) OR run.run_id = $model
QUALIFY run.run_id = $model OR row_number() OVER (PARTITION BY target.target ORDER BY run.sequence DESC) = 1
ORDER BY run.sequence
