-- What was raised, and who was called. The first five columns of the log are those that BI users bind to.
--
-- One row for each class and, without a module, one for all of them together, in every run on new predictions; rows are
-- only ever added. `alerts_digest` binds a row to the predictions and limits it came from. Rates of classes with too few
-- students to be shown are null, and so is their number of students.
CREATE TABLE mart.alert_log (
    run_ts TIMESTAMP NOT NULL,
    alert_type VARCHAR NOT NULL,
    high_risk_rate DOUBLE,
    spike_pct DOUBLE,
    message VARCHAR NOT NULL,
    code_module VARCHAR,
    code_presentation VARCHAR,
    week INTEGER,
    students INTEGER,
    run_id VARCHAR NOT NULL,
    alerts_digest VARCHAR NOT NULL
);

-- Who was contacted, on what day and by whom. In `ops`, because nothing of it is ever published.
CREATE TABLE ops.intervention (
    student_id VARCHAR NOT NULL,
    contacted_on DATE NOT NULL,
    contacted_by VARCHAR NOT NULL,
    note VARCHAR NOT NULL,
    logged_at TIMESTAMP NOT NULL,
    run_id VARCHAR NOT NULL
);

-- The reasons of a week, kept when the next scoring replaces them: a reason is new when the week before had not got it.
CREATE TABLE ops.reason_seen (
    course_run_id VARCHAR NOT NULL,
    student_id VARCHAR NOT NULL,
    week INTEGER NOT NULL,
    feature VARCHAR NOT NULL
);
