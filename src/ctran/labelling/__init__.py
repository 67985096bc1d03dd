"""A folder of pictures that gets its labels: what is known, on disk and in memory; what to label next; a model of it."""
