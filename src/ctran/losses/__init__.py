"""Losses over the entries that count (paper, Eq. 6)."""
