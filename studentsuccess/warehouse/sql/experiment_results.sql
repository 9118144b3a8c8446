SELECT
    run_ts, uplift_scenario, control_rate, treatment_rate, rate_diff, p_value, ci_low, ci_high, kind, name, n_control,
    n_treatment, boot_low, boot_high, power, needed_per_arm, adjusted_diff, adjusted_low, adjusted_high,
    predictions_digest, run_id
FROM mart.experiment_results
ORDER BY kind, name, uplift_scenario;
