"""The harness as a product: runs, records, statistics, and the command `pretask`."""
