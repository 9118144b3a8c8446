-- Every contact of these students on their day.
DELETE FROM ops.intervention AS old
WHERE EXISTS (
    FROM incoming WHERE incoming.student_id = old.student_id AND incoming.contacted_on = old.contacted_on
);
