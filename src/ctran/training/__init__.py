"""Training: from a typed recipe to a run folder."""
