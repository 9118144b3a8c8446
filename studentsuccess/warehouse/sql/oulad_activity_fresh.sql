-- Where no enrolment was known before, the numbers are the places in studentInfo moved by one amount: no join needed.
INSERT INTO core.activity BY NAME
SELECT CAST(enrolment + $offset AS INTEGER) AS enrollment_id, day, activity_type, clicks
FROM clicks
