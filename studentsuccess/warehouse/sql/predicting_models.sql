-- The models that the standing predictions are of.
SELECT DISTINCT name, version FROM ml.prediction
