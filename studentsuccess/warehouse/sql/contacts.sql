SELECT student_id, contacted_on, contacted_by, note
FROM ops.intervention
ORDER BY contacted_on DESC, student_id, contacted_by, note;
