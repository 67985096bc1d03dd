"""Plots: one function a picture, which writes a PNG."""

from ctran.plots.sheets import contact_sheet
from ctran.plots.training import learning_curves

__all__ = ["contact_sheet", "learning_curves"]
