"""Studies and benchmarks: too slow for the tests, with their raw numbers in ``docs/``."""
