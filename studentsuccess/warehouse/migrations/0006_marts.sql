-- What BI tools bind to. The first columns of each table are those that users of earlier tools know, in their order;
-- `experiment_results` and `alert_log` are made by the steps that fill them.
--
-- A flag is 0 or 1, so that every tool can average it. A day on a calendar is the start of the course run and the
-- day of the cut-off, or the day of the load where nobody knows when the term began.
CREATE TABLE mart.student_risk_daily (
    run_date DATE NOT NULL,
    id_student VARCHAR NOT NULL,
    code_module VARCHAR NOT NULL,
    week INTEGER NOT NULL,
    risk_score DOUBLE NOT NULL,
    high_risk_flag INTEGER NOT NULL,
    weekly_score_mean DOUBLE,
    cum_submissions INTEGER NOT NULL,
    code_presentation VARCHAR NOT NULL,
    course_run_id VARCHAR NOT NULL,
    decision VARCHAR NOT NULL,
    model VARCHAR NOT NULL
);

-- Figures of few students are null, and `suppressed` is true in their row.
CREATE TABLE mart.course_summary_daily (
    run_date DATE NOT NULL,
    week INTEGER NOT NULL,
    code_module VARCHAR NOT NULL,
    student_count INTEGER,
    avg_risk_score DOUBLE,
    high_risk_rate DOUBLE,
    code_presentation VARCHAR NOT NULL,
    course_run_id VARCHAR NOT NULL,
    suppressed BOOLEAN NOT NULL
);

-- Every day of the years that the marts touch, without a gap: what a date table must be.
CREATE TABLE mart.calendar (
    date DATE NOT NULL,
    year INTEGER NOT NULL,
    quarter INTEGER NOT NULL,
    month INTEGER NOT NULL,
    day INTEGER NOT NULL,
    iso_year INTEGER NOT NULL,
    iso_week INTEGER NOT NULL,
    weekday INTEGER NOT NULL
);

-- The course runs that are scored.
CREATE TABLE mart.course (
    course_run_id VARCHAR NOT NULL,
    code_module VARCHAR NOT NULL,
    code_presentation VARCHAR NOT NULL,
    start_date DATE,
    length_days INTEGER,
    newest_week INTEGER NOT NULL
);

-- The models that scored them; what the registry knows of one is null where it was never registered here.
CREATE TABLE mart.model_version (
    model VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    algorithm VARCHAR,
    target VARCHAR,
    trained_at TIMESTAMP,
    trained_where VARCHAR
);
