"""What the columns of a printed table mean."""

from collections.abc import Iterable

_MEANINGS = {
    "mAP": "mean over the labels of the average precision",
    "CP": "precision, mean over the labels",
    "CR": "recall, mean over the labels",
    "CF1": "harmonic mean of CP and CR",
    "OP": "precision over all entries together",
    "OR": "recall over all entries together",
    "OF1": "harmonic mean of OP and OR",
    "top3_": "the same with the three most probable labels of a picture as its prediction",
    "macro_AUROC": "area below the ROC curve, mean over the labels",
    "ECE": "expected calibration error",
    "T": "temperature that divides the logits",
}


def legend(columns: Iterable[str]) -> str:
    """One paragraph with the :data:`_MEANINGS` of ``columns``: ``CP: precision, mean over the labels; ...``."""
    names = ["top3_" if name.startswith("top3_") else name for name in columns]
    return "; ".join(f"{name}: {_MEANINGS[name]}" for name in dict.fromkeys(names) if name in _MEANINGS) + "."
