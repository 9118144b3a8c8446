-- One publisher of a schema at a time, and none that waits for ever.
SELECT
    set_config('lock_timeout', %(timeout)s, true),
    pg_advisory_xact_lock(hashtextextended('studentsuccess marts ' || %(schema)s, 0))
