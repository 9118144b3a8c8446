-- Clicks by enrolment and week. A week holds the days up to its own end, so that a sum over weeks up to w is what was
-- known at the cut-off of week w; all that lies before the course is week 0.
CREATE OR REPLACE TEMP TABLE risk_week AS
WITH by_day AS (
    SELECT enrollment_id,
           greatest(0, ceil(day / 7.0))::INTEGER AS week,
           day,
           sum(clicks) AS clicks,
           sum(clicks) FILTER (activity_type IN ('forumng', 'oucollaborate', 'ouelluminate', 'ouwiki')) AS talk,
           sum(clicks) FILTER (activity_type IN ('quiz', 'externalquiz', 'questionnaire', 'repeatactivity')) AS quiz,
           sum(clicks) FILTER (activity_type IN ('oucontent', 'resource', 'url', 'page', 'subpage', 'sharedsubpage',
                                                 'glossary', 'dataplus', 'dualpane', 'folder', 'htmlactivity')) AS content,
           sum(clicks) FILTER (activity_type = 'homepage') AS home,
           count(DISTINCT activity_type) AS kinds
    FROM core.activity
    GROUP BY ALL
)
SELECT enrollment_id, week,
       sum(clicks)::DOUBLE AS clicks,
       count(*)::DOUBLE AS days,
       max(day) AS last_day,
       min(day) AS first_day,
       coalesce(sum(talk), 0)::DOUBLE AS talk,
       coalesce(sum(quiz), 0)::DOUBLE AS quiz,
       coalesce(sum(content), 0)::DOUBLE AS content,
       coalesce(sum(home), 0)::DOUBLE AS home,
       max(kinds)::DOUBLE AS kinds
FROM by_day
GROUP BY ALL;
