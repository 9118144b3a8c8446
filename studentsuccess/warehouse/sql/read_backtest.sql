SELECT * FROM ml.backtest ORDER BY demographics DESC, week, scope, member, metric;
