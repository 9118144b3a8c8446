-- Whole years, because time intelligence in BI tools wants them whole.
WITH span AS (
    SELECT min(run_date) AS first, max(run_date) AS last FROM student_risk
),
days AS (
    SELECT CAST(unnest(generate_series(date_trunc('year', first), make_date(year(last), 12, 31), INTERVAL 1 DAY)) AS DATE)
        AS date
    FROM span
)
SELECT
    date,
    CAST(year(date) AS INTEGER) AS year,
    CAST(quarter(date) AS INTEGER) AS quarter,
    CAST(month(date) AS INTEGER) AS month,
    CAST(day(date) AS INTEGER) AS day,
    CAST(isoyear(date) AS INTEGER) AS iso_year,
    CAST(weekofyear(date) AS INTEGER) AS iso_week,
    CAST(isodow(date) AS INTEGER) AS weekday
FROM days
ORDER BY date
