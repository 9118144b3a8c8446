"""From predictions to decisions: marts, alerts, experiment, roi, report. Knows tables, and no files of the user's."""
