DELETE FROM ml.reason;
