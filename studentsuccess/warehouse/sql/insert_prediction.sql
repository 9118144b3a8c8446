INSERT INTO ml.prediction BY NAME SELECT * FROM incoming;
