-- Every load of course data in order; `extends` are mended rows that were fed back.
SELECT run.run_id, run.extends, run.inputs, run.counts
FROM ops.run AS run
INNER JOIN ops.run_target AS target ON run.run_id = target.run_id
WHERE target.target = $target
ORDER BY run.sequence
