"""Training: a typed recipe in, a run folder out."""
