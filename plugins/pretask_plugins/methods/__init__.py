"""One folder per method of the lecture."""
