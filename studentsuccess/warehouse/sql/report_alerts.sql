-- What the alerts made last say; the row without a module is of all classes together.
SELECT alert_type, code_module, code_presentation
FROM mart.alert_log
WHERE run_id = (SELECT max(run_id) FROM mart.alert_log)
ORDER BY code_module NULLS FIRST, code_presentation
