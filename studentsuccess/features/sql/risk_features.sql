-- One row an enrolment: everything known at the end of week $week, relative figures within its own course run.
WITH cohort AS (
    SELECT p.course_run_id,
           avg(e.clicks_log ORDER BY p.enrollment_id) AS clicks_mean,
           stddev_pop(e.clicks_log ORDER BY p.enrollment_id) AS clicks_spread,
           avg(e.clicks_2_log ORDER BY p.enrollment_id) AS clicks_2_mean,
           stddev_pop(e.clicks_2_log ORDER BY p.enrollment_id) AS clicks_2_spread,
           avg(e.active_days ORDER BY p.enrollment_id) AS days_mean,
           stddev_pop(e.active_days ORDER BY p.enrollment_id) AS days_spread,
           avg(a.points ORDER BY p.enrollment_id) AS points_mean,
           stddev_pop(a.points ORDER BY p.enrollment_id) AS points_spread
    FROM risk_population AS p
    JOIN risk_engagement AS e USING (enrollment_id)
    JOIN risk_assessed AS a USING (enrollment_id)
    GROUP BY p.course_run_id
)
SELECT p.enrollment_id, p.course_run_id, p.student_id, p.course_id, p.term, $week::INTEGER AS week,
       (7 * $week)::INTEGER AS cutoff_day, p.at_risk,
       p.registered_day, (p.registered_day IS NULL)::INTEGER AS registered_unknown, p.credits, p.previous_attempts,
       h.* EXCLUDE (enrollment_id),
       e.* EXCLUDE (enrollment_id),
       a.* EXCLUDE (enrollment_id),
       (e.clicks_log - c.clicks_mean) / nullif(c.clicks_spread, 0) AS clicks_relative,
       (e.clicks_2_log - c.clicks_2_mean) / nullif(c.clicks_2_spread, 0) AS clicks_2_relative,
       (e.active_days - c.days_mean) / nullif(c.days_spread, 0) AS days_relative,
       percent_rank() OVER (PARTITION BY p.course_run_id ORDER BY e.clicks_4_log) AS clicks_4_rank,
       (a.points - c.points_mean) / nullif(c.points_spread, 0) AS points_relative,
       d.gender, d.region, d.education, d.deprivation, d.age_band, d.disability
FROM risk_population AS p
JOIN risk_engagement AS e USING (enrollment_id)
JOIN risk_assessed AS a USING (enrollment_id)
JOIN risk_history AS h USING (enrollment_id)
JOIN cohort AS c USING (course_run_id)
LEFT JOIN core.demographic AS d USING (enrollment_id)
ORDER BY p.enrollment_id;
