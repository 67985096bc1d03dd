"""Multi-label image classification when some labels are already known: C-Tran (Lanchantin et al., CVPR 2021).

``tagger = ctran.load(folder)``, then ``tagger.predict("picture.png", known={"flag": True})``. Everything else stands in the
modules, of which ``docs/architecture.md`` has a map.
"""

from ctran.inference.exported import Exported, load
from ctran.inference.prediction import Prediction
from ctran.inference.tagger import Tagger
from ctran.labels import LabelSpace, LabelState
from ctran.version import __version__

__all__ = ["Exported", "LabelSpace", "LabelState", "Prediction", "Tagger", "__version__", "load"]
