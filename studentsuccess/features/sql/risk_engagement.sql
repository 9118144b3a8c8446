-- Clicks up to the end of week $week: how much, how often, how lately, of what kind, and against the own past.
CREATE OR REPLACE TEMP TABLE risk_engagement AS
WITH known AS (
    SELECT w.* FROM risk_week AS w SEMI JOIN risk_population AS p USING (enrollment_id) WHERE w.week <= $week
),
summed AS (
    SELECT enrollment_id,
           sum(clicks) AS clicks,
           sum(days) AS active_days,
           count(*) FILTER (week > 0) AS active_weeks,
           max(last_day) AS last_day,
           min(first_day) AS first_day,
           sum(clicks) FILTER (week = 0) AS clicks_before,
           sum(clicks) FILTER (week > $week - 1) AS clicks_1,
           sum(clicks) FILTER (week > $week - 2) AS clicks_2,
           sum(clicks) FILTER (week > $week - 4) AS clicks_4,
           sum(days) FILTER (week > $week - 2) AS days_2,
           sum(days) FILTER (week > $week - 4) AS days_4,
           sum(talk) AS talk, sum(quiz) AS quiz, sum(content) AS content, sum(home) AS home,
           sum(quiz) FILTER (week > $week - 4) AS quiz_4,
           sum(content) FILTER (week > $week - 4) AS content_4,
           max(kinds) AS kinds
    FROM known
    GROUP BY enrollment_id
),
gaps AS (
    SELECT enrollment_id, max(gap) AS longest_silence
    FROM (
        SELECT enrollment_id, first_day - lag(last_day) OVER (PARTITION BY enrollment_id ORDER BY week) AS gap
        FROM known
    )
    GROUP BY enrollment_id
)
SELECT p.enrollment_id,
       ln(1 + coalesce(s.clicks, 0)) AS clicks_log,
       ln(1 + coalesce(s.clicks_before, 0)) AS clicks_before_log,
       ln(1 + coalesce(s.clicks_1, 0)) AS clicks_1_log,
       ln(1 + coalesce(s.clicks_2, 0)) AS clicks_2_log,
       ln(1 + coalesce(s.clicks_4, 0)) AS clicks_4_log,
       coalesce(s.active_days, 0) AS active_days,
       coalesce(s.days_2, 0) AS active_days_2,
       coalesce(s.days_4, 0) AS active_days_4,
       coalesce(s.active_weeks, 0) / greatest($week, 1) AS active_weeks_share,
       least(7 * $week - coalesce(s.last_day, -30), 7 * $week + 30) AS days_silent,
       coalesce(s.first_day, 7 * $week + 7) AS first_day,
       greatest(coalesce(g.longest_silence, 0), 7 * $week - coalesce(s.last_day, -30)) AS longest_silence,
       ln(1 + coalesce(s.talk, 0)) AS talk_log,
       ln(1 + coalesce(s.quiz, 0)) AS quiz_log,
       ln(1 + coalesce(s.content, 0)) AS content_log,
       ln(1 + coalesce(s.home, 0)) AS home_log,
       ln(1 + coalesce(s.quiz_4, 0)) AS quiz_4_log,
       ln(1 + coalesce(s.content_4, 0)) AS content_4_log,
       coalesce(s.kinds, 0) AS kinds,
       ln(1 + coalesce(s.clicks_2, 0)) - ln(1 + coalesce(s.clicks, 0) * 2.0 / ($week + 2)) AS trend_own
FROM risk_population AS p
LEFT JOIN summed AS s USING (enrollment_id)
LEFT JOIN gaps AS g USING (enrollment_id);
