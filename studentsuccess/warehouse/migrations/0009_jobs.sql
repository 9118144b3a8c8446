-- Jobs that were sent to Azure from this workspace. `parent` names the sweep that a job is a trial of. `state` is what
-- was last known for certain: submitted, cancelled, fetched; how far a job is says only Azure. `data` has a JSON list of
-- what it learns from: path, size, sha256 (empty where Azure alone can read it). Times are UTC.
CREATE TABLE ops.job (
    job VARCHAR NOT NULL,
    parent VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    place VARCHAR NOT NULL,
    experiment VARCHAR NOT NULL,
    compute VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    data_digest VARCHAR NOT NULL,
    submitted_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    fetched_model VARCHAR,
    archived_at TIMESTAMP
);
