-- The shape that every source is mapped to. Days count from the start of the course run.
--
-- No primary keys and no indexes: they slow a bulk load down several times, and replacing rows (delete and insert
-- in one transaction) trips over them, because DuckDB's index still holds the deleted keys until the COMMIT.
-- Uniqueness and foreign keys are checked while loading, where a bad row can still be named by its line.
CREATE TABLE core.course_run (
    course_run_id VARCHAR,
    course_id VARCHAR,
    term VARCHAR,
    length_days INTEGER
);

CREATE TABLE core.enrollment (
    enrollment_id INTEGER,
    course_run_id VARCHAR,
    student_id VARCHAR,
    registered_day INTEGER,
    unregistered_day INTEGER,
    credits INTEGER,
    previous_attempts INTEGER,
    outcome VARCHAR
);

-- Apart from the enrolment, so that a run can leave it out.
CREATE TABLE core.demographic (
    enrollment_id INTEGER,
    gender VARCHAR,
    region VARCHAR,
    education VARCHAR,
    deprivation VARCHAR,
    age_band VARCHAR,
    disability VARCHAR
);

CREATE TABLE core.assessment (
    assessment_id VARCHAR,
    course_run_id VARCHAR,
    type VARCHAR,
    due_day INTEGER,
    weight DOUBLE
);

CREATE TABLE core.submission (
    assessment_id VARCHAR,
    enrollment_id INTEGER,
    submitted_day INTEGER,
    score DOUBLE,
    banked BOOLEAN
);

CREATE TABLE core.activity (
    enrollment_id INTEGER,
    day INTEGER,
    activity_type VARCHAR,
    clicks INTEGER
);
