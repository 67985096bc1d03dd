"""A suite of real label sets, built from public packages by a command (``README.md``)."""
