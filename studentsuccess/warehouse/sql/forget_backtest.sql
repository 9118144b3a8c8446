DELETE FROM ml.backtest;
