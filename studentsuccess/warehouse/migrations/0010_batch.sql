-- Who is put together, where and when they meet. Rows belong to a place that batches were written to (`output`), and the
-- next run for the same place replaces them. Students are here by their ids only: names stand in the files.
CREATE SCHEMA batch;

CREATE TABLE batch.student_batches (
    output VARCHAR NOT NULL,
    batch_id UUID NOT NULL,
    batch_code VARCHAR NOT NULL,
    program_id VARCHAR NOT NULL,
    academic_year VARCHAR NOT NULL,
    size INTEGER NOT NULL,
    coherence DOUBLE NOT NULL,
    program_consistency DOUBLE NOT NULL,
    resource_efficiency DOUBLE NOT NULL,
    violations INTEGER NOT NULL
);

CREATE TABLE batch.batch_student_membership (
    output VARCHAR NOT NULL,
    membership_id UUID NOT NULL,
    batch_id UUID NOT NULL,
    student_id VARCHAR NOT NULL,
    program_id VARCHAR NOT NULL,
    academic_year VARCHAR NOT NULL,
    enrollment_date DATE NOT NULL,
    membership_status VARCHAR NOT NULL
);

CREATE TABLE batch.batch_course_enrollment (
    output VARCHAR NOT NULL,
    enrollment_id UUID NOT NULL,
    batch_id UUID NOT NULL,
    course_id VARCHAR NOT NULL,
    course_name VARCHAR NOT NULL,
    credit_hours DOUBLE,
    enrollment_status VARCHAR NOT NULL,
    expected_students INTEGER NOT NULL,
    capacity_utilization DOUBLE NOT NULL
);

CREATE TABLE batch.batch_resource_assignment (
    output VARCHAR NOT NULL,
    assignment_id UUID NOT NULL,
    batch_id UUID NOT NULL,
    room_id VARCHAR NOT NULL,
    shift_id VARCHAR NOT NULL,
    room_capacity INTEGER NOT NULL,
    utilization DOUBLE NOT NULL
);
