"""Learning curves of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ctran.plots.style import INK, plain, save_figure


def learning_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Training loss, and mAP (of a multi-class task accuracy) on ``val`` in each setting, over the epochs."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    loss, score = figure.subplots(1, 2)
    loss.plot(epochs, [row["train_loss"] for row in history], color=INK, marker=".")
    loss.set(title="training loss", xlabel="epoch")
    kind = "accuracy" if any(k.startswith("val_accuracy_") for k in history[0]) else "mAP"
    for name in (k for k in history[0] if k.startswith(f"val_{kind}_")):
        score.plot(epochs, [row[name] for row in history], marker=".", label=curve_name(name.removeprefix(f"val_{kind}_")))
    score.set(title=f"{kind} on val, labels not shown (%)", xlabel="epoch")
    score.legend(frameon=False, fontsize=8)
    for axes in (loss, score):
        plain(axes)
    save_figure(figure, path)


def curve_name(key: str) -> str:
    """Name of a setting in the legend (:attr:`ctran.evaluation.report.Setting.key`): ``25`` -> ``25 % known``."""
    amount, _, kind = key.replace("_", " ").partition(" ")
    return f"{amount} groups known" if kind == "groups" else f"{amount} % {kind} known".replace("  ", " ")
