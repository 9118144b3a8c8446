"""One file a command: `plan` only reads, `run` does what the plan says."""
