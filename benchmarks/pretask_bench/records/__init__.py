"""Records: what is known of a run, how it is stored, and whether it holds."""
