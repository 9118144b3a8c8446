-- The rows of a run, unless the same ones stand there already.
INSERT INTO mart.alert_log BY NAME
SELECT incoming.*
FROM incoming
WHERE incoming.alerts_digest NOT IN (SELECT alerts_digest FROM mart.alert_log);
