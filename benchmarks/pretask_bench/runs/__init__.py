"""Runs: a plan becomes trained weights, numbers and a record; references, costs, suites and repetitions."""
