DELETE FROM ml.prediction;
