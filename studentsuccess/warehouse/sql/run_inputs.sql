-- The inputs of the runs that wrote a target, latest first.
SELECT run.inputs, run.run_id
FROM ops.run AS run JOIN ops.run_target AS target USING (run_id)
WHERE target.target = $target
ORDER BY run.sequence DESC
