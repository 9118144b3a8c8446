SELECT count(*) FROM ml.prediction;
