-- Of each course run: who is scored at the end of week $week, who had withdrawn by then, who registers later.
SELECT e.course_run_id, $week::INTEGER AS week,
       count(*) FILTER (coalesce(e.registered_day, -1000) <= 7 * $week
                        AND (e.unregistered_day IS NULL OR e.unregistered_day > 7 * $week))::INTEGER AS scored,
       count(*) FILTER (e.unregistered_day <= 7 * $week)::INTEGER AS gone,
       count(*) FILTER (coalesce(e.registered_day, -1000) > 7 * $week
                        AND (e.unregistered_day IS NULL OR e.unregistered_day > 7 * $week))::INTEGER AS later
FROM core.enrollment AS e
JOIN risk_run AS run USING (course_run_id)
WHERE list_contains($terms, run.term)
GROUP BY ALL
ORDER BY ALL;
