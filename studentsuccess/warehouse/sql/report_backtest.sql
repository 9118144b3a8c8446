-- The backtest made last: for everyone, and its bins of predicted risk.
SELECT train_terms, test_terms, demographics, week, scope, member, n, metric, value, low, high
FROM ml.backtest
WHERE scope IN ('all', 'bin') AND run_id = (SELECT max(run_id) FROM ml.backtest)
ORDER BY demographics DESC, week, scope, member, metric
