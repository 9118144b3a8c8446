SELECT count(*) > 0 FROM (SELECT 1 FROM core.activity LIMIT 1);
