INSERT INTO mart.experiment_results BY NAME SELECT * FROM incoming;
