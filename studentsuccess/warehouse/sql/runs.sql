-- Every committed run, in the order of the commits.
SELECT run_id, sequence, extends, outputs, ledger_line
FROM ops.run
ORDER BY sequence
