"""The model card: README.md of a model folder, in the form that the Hugging Face hub reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctran import methods, registry
from ctran.evaluation.report import Report
from ctran.version import __version__

if TYPE_CHECKING:
    from ctran.folders.tagger import Tagger

SHOWN = 12
"""Labels that a sentence lists; all are in ``labels.json``."""


def model_card(tagger: Tagger, *, source: str = "", report: Report | None = None, license: str | None = None) -> str:
    """README.md of a model folder: what it is, its labels, data, metrics, thresholds, licence, and an example that runs.

    Args:
        source: name of the data set or format that it was trained on.
        report: its metrics on pictures that it was not trained on.
        license: identifier of the hub, such as ``apache-2.0``; None writes that it is not stated.
    """
    name = tagger.labels.names[0].replace("\\", "\\\\").replace('"', '\\"')
    parts = [
        f"# {tagger.config['method']} with {len(tagger.labels)} labels",
        f"Multi-label image classification when some labels may already be known. Method: {_summary(tagger)}. Backbone: "
        f"{tagger.model.backbone.name}, input {tagger.preprocessing.size} px. Made by ctran {__version__}.",
        f"## Labels\n\n{_labels(tagger)}",
        f"## Use\n\n{_install(tagger)}```python\nimport ctran\n\n"
        'tagger = ctran.load("path/of/this/folder")\n'
        f'prediction = tagger.predict("picture.png", known={{"{name}": True}})\n'
        "print(prediction.labels, prediction.top(5))\n```",
        "A label is predicted as present from a probability of 0.5 on, or from its own threshold where the folder has a "
        "`calibration.json` (`ctran calibrate`). Of an exclusive group the most probable label is present.",
    ]
    if source:
        parts.append(f"## Data\n\nTrained on the source `{source}` of ctran.")
    if report is not None:
        parts.append(_metrics(report))
    stated = (
        f"`{license}`" if license else "Not stated. The weights of the backbone and the pictures have licences of their own"
    )
    parts.append(f"## Licence\n\n{stated}.")
    return f"{front_matter(tagger, source=source, report=report, license=license)}\n" + "\n\n".join(parts) + "\n"


def front_matter(tagger: Tagger, *, source: str = "", report: Report | None = None, license: str | None = None) -> str:
    """The YAML head that the hub reads, between its two lines of dashes."""
    from huggingface_hub import EvalResult, ModelCardData

    data = ModelCardData(
        library_name="ctran",
        pipeline_tag="image-classification",
        tags=["multi-label-classification", "image-classification", "ctran"],
        license=license,
    )
    measured = report.settings if report is not None else ()
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=source or "own",
            dataset_name=source or "own pictures",
            dataset_split=report.split if report is not None else None,
            metric_type="mAP",
            metric_name=f"mAP, known labels: {setting.setting}",
            metric_value=round(setting.hidden.mAP, 2),
        )
        for setting in measured
        if setting.hidden.mAP == setting.hidden.mAP  # NaN: no label has an AP
    ]
    if results:
        data.model_name, data.eval_results = f"{tagger.config['method']}, {len(tagger.labels)} labels", results
    return f"---\n{data.to_yaml()}\n---"


def _summary(tagger: Tagger) -> str:
    """The method in one line."""
    return registry.find(methods, tagger.config["method"]).SUMMARY


def _install(tagger: Tagger) -> str:
    """What to install beside ctran, where the method is of another package."""
    package = registry.distribution_of(methods, tagger.config["method"])
    return f"The method is of another package: `pip install ctran {package.name}`.\n\n" if package else ""


def _labels(tagger: Tagger) -> str:
    """Names, groups and implications in sentences."""
    space = tagger.labels
    listed = ", ".join(space.names[:SHOWN])
    more = f" and {len(space) - SHOWN} more (`labels.json`)" if len(space) > SHOWN else ""
    lines = [f"{listed}{more}."]
    for group in space.groups:
        kind = "exactly one is present" if group.exclusive else "a group"
        lines.append(
            f"* {group.name}: {', '.join(group.labels[:SHOWN])}{', ...' if len(group.labels) > SHOWN else ''} ({kind})"
        )
    return "\n".join(lines)


def _metrics(report: Report) -> str:
    """Markdown: a row a setting of known labels."""
    rows = ["| known labels | mAP | CF1 | OF1 |", "|---|---|---|---|"]
    rows += [f"| {s.setting} | {s.hidden.mAP:.1f} | {s.hidden.CF1:.1f} | {s.hidden.OF1:.1f} |" for s in report.settings]
    about = (
        f"In percent, on {report.pictures:,} pictures ({report.split or 'test'}), over the labels that are not known; "
        "thresholds of 0.5."
    )
    return "## Metrics\n\n" + "\n".join(rows) + f"\n\n{about}"
