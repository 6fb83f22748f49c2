"""How often and how much, unless said otherwise. Numbers alone, so that help need not wait for torch."""

FOLDS, REPEATS, TRIALS = 5, 1, 30
