"""`python -m pretask_bench` is the command `pretask`."""

from pretask_bench.cli.main import main

main()
