-- One row an enrolment: everything known at the end of week $week, relative figures within its own course run.
-- A missing figure is NULL where the student's peers have it, which says something of the student. Where nothing was due
-- yet, or fewer than a quarter of the peers have it, it says nothing, and is NaN.
WITH cohort AS (
    SELECT p.course_run_id,
           avg(e.clicks_log ORDER BY p.enrollment_id) AS clicks_mean,
           stddev_pop(e.clicks_log ORDER BY p.enrollment_id) AS clicks_spread,
           avg(e.clicks_2_log ORDER BY p.enrollment_id) AS clicks_2_mean,
           stddev_pop(e.clicks_2_log ORDER BY p.enrollment_id) AS clicks_2_spread,
           avg(e.active_days ORDER BY p.enrollment_id) AS days_mean,
           stddev_pop(e.active_days ORDER BY p.enrollment_id) AS days_spread,
           avg(a.points ORDER BY p.enrollment_id) AS points_mean,
           stddev_pop(a.points ORDER BY p.enrollment_id) AS points_spread,
           max(a.due) = 0 OR count(a.days_since_submission) < 0.25 * count(*) AS few_submitted,
           max(a.due) = 0 OR count(a.score_mean) < 0.25 * count(*) AS few_marked,
           max(a.due) = 0 OR count(a.score_weighted) < 0.25 * count(*) AS few_weighted
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
       a.missed,
       coalesce(a.submitted_share, 'NaN') AS submitted_share,
       coalesce(a.weight_share, 'NaN') AS weight_share,
       a.submitted, a.early, a.late,
       coalesce(a.lateness, if(c.few_submitted, 'NaN'::DOUBLE, NULL)) AS lateness,
       coalesce(a.lateness_last, if(c.few_submitted, 'NaN'::DOUBLE, NULL)) AS lateness_last,
       a.banked,
       coalesce(a.score_mean, if(c.few_marked, 'NaN'::DOUBLE, NULL)) AS score_mean,
       coalesce(a.score_least, if(c.few_marked, 'NaN'::DOUBLE, NULL)) AS score_least,
       coalesce(a.score_last, if(c.few_marked, 'NaN'::DOUBLE, NULL)) AS score_last,
       coalesce(a.score_weighted, if(c.few_weighted, 'NaN'::DOUBLE, NULL)) AS score_weighted,
       a.points,
       coalesce(a.score_relative, if(c.few_marked, 'NaN'::DOUBLE, NULL)) AS score_relative,
       coalesce(a.days_since_submission, if(c.few_submitted, 'NaN'::DOUBLE, NULL)) AS days_since_submission,
       coalesce(a.missed_last, 'NaN'::DOUBLE) AS missed_last,
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
