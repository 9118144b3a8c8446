-- When each course run began, in days since 1970; nothing where its term has no date that is known.
CREATE OR REPLACE TEMP TABLE risk_run AS
SELECT run.course_run_id, run.course_id, run.term, run.length_days, term.start_day, term.position
FROM core.course_run AS run
LEFT JOIN incoming_terms AS term USING (term);
