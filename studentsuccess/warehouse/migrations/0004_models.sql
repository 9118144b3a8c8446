-- The registry of models. A version is written once and never changed; what moves is an alias, and every move stays
-- on record. Times are UTC. `path` is relative to the workspace, `manifest_sha256` binds the row to the folder.
CREATE TABLE ml.model (
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    algorithm VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    trained_at TIMESTAMP NOT NULL,
    trained_where VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    rows_train BIGINT NOT NULL,
    rows_holdout BIGINT NOT NULL,
    holdout_basis VARCHAR NOT NULL,
    holdout_share DOUBLE NOT NULL,
    holdout_digest VARCHAR NOT NULL,
    data_digest VARCHAR NOT NULL,
    features INTEGER NOT NULL,
    path VARCHAR NOT NULL,
    manifest_sha256 VARCHAR NOT NULL
);

-- `source` is holdout, or baseline:majority and the like; `class` is null where a figure is of all classes together.
CREATE TABLE ml.metric (
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    class VARCHAR,
    metric VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);

-- Cells with rows in them; `actual` is null for labels that the model does not know.
CREATE TABLE ml.confusion (
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    actual VARCHAR,
    predicted VARCHAR NOT NULL,
    rows BIGINT NOT NULL
);

CREATE TABLE ml.calibration (
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    rows BIGINT NOT NULL,
    confidence DOUBLE,
    accuracy DOUBLE
);

-- The newest event of an alias holds.
CREATE TABLE ml.alias_event (
    name VARCHAR NOT NULL,
    alias VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    since TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL,
    why VARCHAR NOT NULL
);
