"""A model over a whole table: calibration, suspicious annotations, influence of labels on each other."""
