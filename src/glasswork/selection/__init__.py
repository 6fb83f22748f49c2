"""Choosing honestly: cross-validation, comparison, tuning. Scores on examples that nothing was fitted to."""
