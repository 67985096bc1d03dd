"""The paper's model, one file per concept: Z (backbone), Eq. 1 (embeddings), 2-4 (encoder), 5 (classifier)."""

from ctran.model.backbone import Backbone, Features
from ctran.model.ctran import CTran
from ctran.model.method import Method
from ctran.model.stages import Stage, TrainingStep

__all__ = ["Backbone", "CTran", "Features", "Method", "Stage", "TrainingStep"]
