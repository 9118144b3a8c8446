-- The last day of these terms on which anything happened that the warehouse knows of.
WITH mine AS (
    SELECT e.* FROM core.enrollment AS e JOIN core.course_run AS r USING (course_run_id) WHERE list_contains($terms, r.term)
)
SELECT greatest(
    (SELECT max(day) FROM core.activity SEMI JOIN mine USING (enrollment_id)),
    (SELECT max(submitted_day) FROM core.submission SEMI JOIN mine USING (enrollment_id)),
    (SELECT greatest(max(unregistered_day), max(registered_day)) FROM mine)
);
