-- Contacts that are not noted yet, each once.
INSERT INTO ops.intervention BY NAME
SELECT DISTINCT incoming.*
FROM incoming
WHERE NOT EXISTS (
    FROM ops.intervention AS old
    WHERE
        old.student_id = incoming.student_id
        AND old.contacted_on = incoming.contacted_on
        AND old.contacted_by = incoming.contacted_by
        AND old.note = incoming.note
);
