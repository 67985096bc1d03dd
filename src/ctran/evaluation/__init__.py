"""Settings (which labels are known) x metrics -> one report."""
