SELECT * FROM ml.reason ORDER BY week, enrollment_id, rank;
