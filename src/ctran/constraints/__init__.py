"""Rules that labels obey (exclusive groups, implications), and the one way from logits to probabilities and labels."""
