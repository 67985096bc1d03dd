"""Tiny copies of published data sets, in exactly their official layout; ``make(root)`` writes one and returns its options."""
