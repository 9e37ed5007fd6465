"""Results: records read back as tables, comparisons and intervals."""
