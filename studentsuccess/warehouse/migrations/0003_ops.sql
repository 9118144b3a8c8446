-- The ledger inside the database. `inputs`, `outputs` and `counts` are JSON texts, `ledger_line` is the finished
-- line of logs/ledger.jsonl, promised by the same COMMIT as the data. Times are UTC.
CREATE TABLE ops.run (
    run_id VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    extends BOOLEAN NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    config_digest VARCHAR NOT NULL,
    program_version VARCHAR NOT NULL,
    inputs VARCHAR NOT NULL,
    outputs VARCHAR NOT NULL,
    counts VARCHAR NOT NULL,
    ledger_line VARCHAR NOT NULL
);

-- What a run replaces or extends: a later run that replaces one of them makes the earlier one not done.
CREATE TABLE ops.run_target (
    run_id VARCHAR NOT NULL,
    target VARCHAR NOT NULL
);

CREATE TABLE ops.dataset (
    name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    path VARCHAR,
    rows BIGINT NOT NULL,
    spec VARCHAR NOT NULL,
    loaded_at TIMESTAMP NOT NULL
);
