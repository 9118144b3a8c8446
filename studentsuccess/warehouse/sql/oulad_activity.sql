INSERT INTO core.activity BY NAME
SELECT map.enrollment_id, clicks.day, clicks.activity_type, clicks.clicks
FROM clicks JOIN enrolment_map AS map ON map.place = clicks.enrolment
