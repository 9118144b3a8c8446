INSERT INTO ops.run VALUES (
    $run_id, $sequence, $key, $command, $extends, $started_at, $finished_at, $config_digest, $program_version,
    $inputs, $outputs, $counts, $ledger_line
)
