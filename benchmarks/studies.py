"""What benchmarks and studies of accuracy share: runs that are trained once, and mAP of a model on a table."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import predict, report
from ctran.folders.tagger import Tagger
from ctran.inference.predictor import Predictor
from ctran.masking import EvalSetting
from ctran.model import Method
from ctran.training.fit import fit
from ctran.training.recipe import Recipe

DEMO = Path(__file__).parents[1] / "runs" / "demo"
"""The run that ``make demo`` leaves."""


def trained(recipe: Recipe, run: Path) -> Tagger:
    """Train, go on, or just load: whatever is left to do."""
    if not (run / "metrics.json").exists():
        fit(recipe, run, resume=(run / "recipe.yaml").exists())
    return Tagger.load(run)


@torch.inference_mode()
def scores(model: Method, tagger: Predictor, table: SampleTable, shares: Sequence[float]) -> list[float]:
    """mAP in percent at each known share; ``model`` answers for the tagger's own."""
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=32)
    truth, answers = predict(model, batches, table.ids, tagger.labels, [EvalSetting(share) for share in shares])
    return [float(row.hidden.mAP) for row in report(truth, answers, tagger.labels).settings]
