"""Run folders as artifacts: a trained encoder with all that it needs, written, loaded, exported and started from."""
