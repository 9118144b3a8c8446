"""Fit, score, explain, evaluate, keep: takes arrays and batches, knows no files of the user's."""
