-- What the risk model says of the term being scored, week by week, and how it did on terms whose end is known.
--
-- One scoring replaces the last one. Days count from the start of the course run; `cutoff_day` is the end of the week.
-- `decision` is a conformal set in words: at risk, not at risk, or unsure. Only `out_of_sample` rows are published.
CREATE TABLE ml.prediction (
    run_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    course_run_id VARCHAR NOT NULL,
    enrollment_id INTEGER NOT NULL,
    student_id VARCHAR NOT NULL,
    week INTEGER NOT NULL,
    cutoff_day INTEGER NOT NULL,
    probability DOUBLE NOT NULL,
    decision VARCHAR NOT NULL,
    out_of_sample BOOLEAN NOT NULL
);

-- The strongest reasons behind a prediction of the newest week, 1 first; `effect` is in log-odds of being at risk.
CREATE TABLE ml.reason (
    run_id VARCHAR NOT NULL,
    enrollment_id INTEGER NOT NULL,
    week INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    feature VARCHAR NOT NULL,
    effect DOUBLE NOT NULL,
    actionable BOOLEAN NOT NULL,
    words VARCHAR NOT NULL
);

-- Of each course run and week: who is scored, who had withdrawn before, who registers later.
CREATE TABLE ml.population (
    run_id VARCHAR NOT NULL,
    course_run_id VARCHAR NOT NULL,
    week INTEGER NOT NULL,
    scored INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    later INTEGER NOT NULL
);

-- One figure of a backtest a row: `scope` is all, module, unseen module, new students or a group's name, `member` which.
CREATE TABLE ml.backtest (
    run_id VARCHAR NOT NULL,
    train_terms VARCHAR NOT NULL,
    test_terms VARCHAR NOT NULL,
    demographics VARCHAR NOT NULL,
    week INTEGER NOT NULL,
    scope VARCHAR NOT NULL,
    member VARCHAR NOT NULL,
    n INTEGER NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE,
    low DOUBLE,
    high DOUBLE
);
