"""Data, by modality: embedded sets that need no files, and loaders of your own."""
