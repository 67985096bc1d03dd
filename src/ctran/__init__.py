"""Multi-label image classification when some labels are already known: C-Tran (Lanchantin et al., CVPR 2021).

``tagger = ctran.load(folder)``, then ``tagger.predict("picture.png", known={"flag": True})``. Everything else is in the
modules; ``docs/architecture.md`` has a map.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ctran.version import __version__

if TYPE_CHECKING:
    from ctran.folders.exported import Exported, load
    from ctran.folders.tagger import Tagger
    from ctran.inference.prediction import Prediction
    from ctran.labels import LabelSpace, LabelState

__all__ = ["Exported", "LabelSpace", "LabelState", "Prediction", "Tagger", "__version__", "load"]

_WHERE = {
    "Exported": "ctran.folders.exported",
    "load": "ctran.folders.exported",
    "Prediction": "ctran.inference.prediction",
    "Tagger": "ctran.folders.tagger",
    "LabelSpace": "ctran.labels",
    "LabelState": "ctran.labels",
}
"""Module of each public name, imported when the name is first used: so ``ctran --help`` need not wait seconds for PyTorch."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
