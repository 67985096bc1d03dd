"""What belongs to reproducing the paper: its printed tables, runs beside them, the authors' checkpoints."""
