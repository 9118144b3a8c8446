INSERT INTO ml.reason BY NAME SELECT * FROM incoming;
