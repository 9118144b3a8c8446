-- Which of the given students no course knows.
SELECT student_id
FROM incoming
WHERE NOT EXISTS (FROM core.enrollment AS known WHERE known.student_id = incoming.student_id);
