-- One row per enrolment and week, as the data stood on that day: a mark counts once it is known, a submission once
-- it is made. `starts` is the calendar. A mean of decimals is the same whatever order the threads add them in.
CREATE OR REPLACE TEMP TABLE student_risk AS
WITH scored AS (
    FROM ml.prediction
    WHERE out_of_sample
),
done AS (
    SELECT
        scored.enrollment_id,
        scored.week,
        avg(CAST(submission.score AS DECIMAL(18, 6)))
            FILTER (submission.submitted_day + $lag <= scored.cutoff_day) AS score_mean,
        count(*) AS submissions
    FROM scored
    JOIN core.submission AS submission USING (enrollment_id)
    WHERE submission.submitted_day <= scored.cutoff_day
    GROUP BY scored.enrollment_id, scored.week
)
SELECT
    coalesce(starts.start_date + scored.cutoff_day, starts.load_day) AS run_date,
    scored.student_id AS id_student,
    run.course_id AS code_module,
    scored.week,
    scored.probability AS risk_score,
    CAST(scored.probability >= $high_risk AS INTEGER) AS high_risk_flag,
    done.score_mean AS weekly_score_mean,
    CAST(coalesce(done.submissions, 0) AS INTEGER) AS cum_submissions,
    run.term AS code_presentation,
    scored.course_run_id,
    scored.decision,
    scored.name || '@' || scored.version AS model
FROM scored
JOIN core.course_run AS run USING (course_run_id)
JOIN starts USING (course_run_id)
LEFT JOIN done ON done.enrollment_id = scored.enrollment_id AND done.week = scored.week
