"""Accuracy of methods on the suite: every set, method and seed once, written as it goes.

    python -m benchmarks.suite measure --sets lucide healthicons --folder /data/suite --seeds 3

Every method has the same stored image features (the recipe ``auto``'s). A row of ``docs/experiments/suite.json`` is one set,
method and seed; rows that are there are not measured again, so an interrupted measurement goes on.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.studies import trained
from ctran import registry
from ctran.analysis.candidates import log_loss
from ctran.analysis.fits import expected_calibration_error
from ctran.constraints.decode import scored
from ctran.data import sources
from ctran.data.loading import FeatureSet, PictureSet, loader
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.evaluation.entries import SettingLogits
from ctran.evaluation.evaluate import predict, report
from ctran.files import write_text
from ctran.folders.tagger import Tagger
from ctran.images.transforms import Augmentation
from ctran.labels import LabelState
from ctran.masking import EvalSetting
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.stored_features import cached_features, key_of_features

RESULTS = Path(__file__).parents[2] / "docs" / "experiments" / "suite.json"
SHARES = (0.0, 0.25, 0.5, 0.75)
DRAWS = 5
SIMPLE = ("linear", "sum", "stack", "pairwise")
SIMPLE_RECIPE = str(Path(__file__).with_name("simple.yaml"))
"""Of these, on a logistic regression."""
METHODS: dict[str, tuple[str, list[str]]] = {
    "linear": (SIMPLE_RECIPE, ["--method", "linear", "--model.solver", "lbfgs"]),
    **{name: (SIMPLE_RECIPE, ["--method", name]) for name in SIMPLE[1:]},
    "quick": ("quick", []),
    "auto": ("auto", []),
}
"""Recipe and flags of each method, the simple ones first."""


@dataclass(frozen=True)
class Job:
    """One row.

    Args:
        name: of the set.
        method: one of :data:`METHODS`.
        seed: of the recipe.
    """

    name: str
    method: str
    seed: int

    def flags(self, folder: Path) -> list[str]:
        """Of the recipe: the set's source and options."""
        return [*METHODS[self.method][1], *source_of(self.name, folder), "--seed", str(self.seed)]


def source_of(name: str, folder: Path) -> list[str]:
    """Flags of a set: a source of the library, or a folder that ``build`` made, with the options that it states."""
    if name in registry.names(sources):
        return ["--source", name]
    root = folder / name
    if not (root / "build.json").exists():
        raise UserError(f"{root} is not a built set: python -m benchmarks.suite build {name} --output {root}")
    command = json.loads((root / "build.json").read_text())["train"]
    return [str(root) if word == "FOLDER" else word for word in shlex.split(command)[2:]]


def measure(jobs: Sequence[Job], folder: Path, runs: Path, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Rows of these jobs and all that were there before."""
    rows: list[dict[str, Any]] = json.loads(results.read_text()) if results.exists() else []
    for job in jobs:
        if any((row["set"], row["method"], row["seed"]) == (job.name, job.method, job.seed) for row in rows):
            continue
        rows.append(row_of(job, folder, runs / f"{job.name}-{job.method}-{job.seed}"))
        rows.sort(key=lambda row: (row["set"], list(METHODS).index(row["method"]), row["seed"]))
        write_text(results, json.dumps(rows, indent=1) + "\n")
        last = next(row for row in rows if (row["set"], row["method"], row["seed"]) == (job.name, job.method, job.seed))
        print(f"{job.name} {job.method} seed {job.seed}: mAP {' / '.join(f'{each:.1f}' for each in last['mAP'])}", flush=True)
    return rows


def row_of(job: Job, folder: Path, run: Path) -> dict[str, Any]:
    """Train, unless the run is finished, and measure on ``test``."""
    recipe = read_recipe(find_recipe(METHODS[job.method][0]), job.flags(folder))
    tagger = trained(recipe, run)
    test = build_tables(recipe)["test"]
    truth, outputs = test_outputs(tagger, test, recipe.training.augmentation)
    measured = report(truth, outputs, tagger.labels, left_out=tagger.unlearnable.reasons)
    of_share = [[output for output in outputs if output.setting == EvalSetting(share)] for share in SHARES]
    return {
        "set": job.name,
        "method": job.method,
        "seed": job.seed,
        "pictures": len(test),
        "labels": len(tagger.labels),
        "mAP": [row.hidden.mAP for row in measured.settings],
        "log_loss": [log_loss(truth, some, tagger.labels) for some in of_share],
        "ECE": [_calibration_error(truth, some, tagger) for some in of_share],
    }


def test_outputs(tagger: Tagger, table: SampleTable, augmentation: Augmentation) -> tuple[torch.Tensor, list[SettingLogits]]:
    """Truth and outputs in all draws; image features are stored once for all methods."""
    data = PictureSet(table, tagger.labels, tagger.preprocessing)
    key = key_of_features(tagger.model, tagger.preprocessing, augmentation)
    features = FeatureSet(cached_features(tagger.model, data, 1, "test", key, tagger.device), data.truth)
    batches = (batch.to(tagger.device) for batch in loader(features, batch_size=64))
    settings = [EvalSetting(share) for share in SHARES]
    return predict(tagger.model, batches, table.ids, tagger.labels, settings, draws=DRAWS)


def _calibration_error(truth: torch.Tensor, outputs: Sequence[SettingLogits], tagger: Tagger) -> float:
    """Expected calibration error of the entries that are not known, in percent, over the draws."""
    probabilities, positive = [], []
    for output in outputs:
        hidden = scored(truth, output.states.long(), tagger.labels) & tagger.labels.targets
        probabilities.append(output.logits.double().sigmoid()[hidden])
        positive.append((truth == LabelState.POSITIVE)[hidden])
    return 100 * expected_calibration_error(torch.cat(probabilities).numpy(), torch.cat(positive).numpy())
