-- Who is there at the end of week $week: registered by then and not withdrawn by then. Everything else starts from here.
CREATE OR REPLACE TEMP TABLE risk_population AS
SELECT e.enrollment_id, e.course_run_id, e.student_id, run.course_id, run.term, run.start_day, run.position,
       e.registered_day, e.credits, e.previous_attempts,
       CASE WHEN e.outcome IS NULL THEN NULL ELSE e.outcome IN ('Fail', 'Withdrawn') END AS at_risk
FROM core.enrollment AS e
JOIN risk_run AS run USING (course_run_id)
WHERE coalesce(e.registered_day, -1000) <= 7 * $week
  AND (e.unregistered_day IS NULL OR e.unregistered_day > 7 * $week);
