INSERT INTO ml.backtest BY NAME SELECT * FROM incoming;
