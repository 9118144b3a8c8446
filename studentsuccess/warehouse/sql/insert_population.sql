INSERT INTO ml.population BY NAME SELECT * FROM incoming;
