"""Speech: recordings as frames of a log-mel spectrogram, and spans of these."""
