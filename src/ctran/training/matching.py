"""Matching a model with the data of an evaluation: shared labels, the fitted decoder, a recipe."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ctran.constraints.decode import Decoder
from ctran.data.coverage import Coverage, nearest_names
from ctran.data.table import DataError
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace
from ctran.training.recipe import Recipe, RecipeError, read_recipe

NOT_IN_DATA = "not in the data"


def match_labels(model: LabelSpace, data: LabelSpace) -> Coverage:
    """Target labels of a model that the data lack, and labels of the data that the model lacks, with the nearest names.

    Raises:
        DataError: the data have none of them.
    """
    targets = [name for name, target in zip(model.names, model.targets.tolist(), strict=True) if target]
    missing = tuple(name for name in targets if name not in data.index_of)
    foreign = tuple(name for name in data.names if name not in model.index_of)
    hints = nearest_names(missing, foreign) | nearest_names(foreign, missing)
    coverage = Coverage(len(targets), len(targets) - len(missing), {NOT_IN_DATA: missing} if missing else {}, foreign, hints)
    if not coverage.measured:
        raise DataError(
            f"none of the model's {len(targets)} labels is in the data, so there is nothing to measure. {coverage.sentences()} "
            "Names must be equal: rename the labels of the data, or choose other data with --data.root"
        )
    return coverage


def own_decoder(tagger: Tagger) -> Decoder | None:
    """The decoder with temperatures and thresholds fitted by ``ctran calibrate``; None if nothing is fitted."""
    return None if tagger.calibration is None or tagger.calibration.changes_nothing else tagger.decoder


def adopt(model: LabelSpace, data: LabelSpace) -> LabelSpace:
    """The labels of a model that has only their names, such as a converted checkpoint, with the extra labels, groups and
    implications of the data; a model that has any of these keeps its own."""
    if model.extra or model.groups or model.implications:
        return model
    names = set(model.names)
    groups = tuple(group for group in data.groups if names.issuperset(group.labels))
    implications = tuple(pair for pair in data.implications if names.issuperset(pair))
    extra = tuple(name for name in data.extra if name in names)
    return replace(model, extra=extra if len(extra) < len(names) else (), groups=groups, implications=implications)


def recipe_of_data(folder: Path, tagger: Tagger, flags: Sequence[str]) -> Recipe:
    """A recipe for the data that a model folder without a run is evaluated on; its model and training are not used.

    Raises:
        RecipeError: the flags name no source.
    """
    if not any(flag.partition("=")[0] == "--source" for flag in flags):
        raise RecipeError(
            f"{folder} is a model folder without a recipe.yaml, so the data to measure it on must be named: "
            f"ctran evaluate {folder} --source NAME --root FOLDER (ctran data lists the sources)"
        )
    return read_recipe(None, ["--method", tagger.config["method"], *flags])
