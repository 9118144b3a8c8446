-- What a look at the marts tells: how many rows of the summary hide something, which terms have no day on a calendar.
SELECT
    (SELECT count(*) FILTER (suppressed) FROM mart.course_summary_daily) AS suppressed,
    (SELECT list(DISTINCT code_presentation ORDER BY code_presentation) FILTER (start_date IS NULL) FROM mart.course)
        AS undated
