-- What an experiment showed, or could show. The first eight columns are those that BI users bind to.
--
-- `kind` is simulation (a plan, not evidence) or trial (what happened). A simulation's scenarios replace those of the
-- one before, a trial the one of its name. `boot_*` hold the simulated or resampled differences; `power` is the share
-- of simulated trials that would show the effect; `predictions_digest` binds a simulation to the scoring it is of.
CREATE TABLE mart.experiment_results (
    run_ts TIMESTAMP NOT NULL,
    uplift_scenario DOUBLE,
    control_rate DOUBLE NOT NULL,
    treatment_rate DOUBLE NOT NULL,
    rate_diff DOUBLE NOT NULL,
    p_value DOUBLE NOT NULL,
    ci_low DOUBLE NOT NULL,
    ci_high DOUBLE NOT NULL,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    n_control INTEGER NOT NULL,
    n_treatment INTEGER NOT NULL,
    boot_low DOUBLE NOT NULL,
    boot_high DOUBLE NOT NULL,
    power DOUBLE,
    needed_per_arm BIGINT,
    adjusted_diff DOUBLE,
    adjusted_low DOUBLE,
    adjusted_high DOUBLE,
    predictions_digest VARCHAR,
    run_id VARCHAR NOT NULL
);
