-- Every move of an alias in the order of the commits, whatever the clocks said; one of the open transaction comes last.
SELECT event.name, event.alias, event.version, event.since, event.run_id, event.why
FROM ml.alias_event AS event
LEFT JOIN ops.run AS run ON event.run_id = run.run_id
ORDER BY run.sequence NULLS LAST, event.since
