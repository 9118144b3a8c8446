-- Without the alerts of classes and weeks in which the summary hides something: they tell the same figures in words.
SELECT log.*
FROM mart.alert_log AS log
WHERE NOT EXISTS (
    FROM mart.course_summary_daily AS summary
    WHERE
        summary.suppressed
        AND summary.code_module = log.code_module
        AND summary.code_presentation = log.code_presentation
        AND summary.week = log.week
)
