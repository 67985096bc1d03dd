"""A model's logits for all pictures of a table, each encoded once for all settings of known labels."""

from collections.abc import Sequence

from jaxtyping import Int
from torch import Tensor

from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import SettingLogits, predict
from ctran.folders.tagger import Tagger
from ctran.masking import EvalSetting
from ctran.progress import track


def predict_table(
    tagger: Tagger,
    table: SampleTable,
    settings: Sequence[EvalSetting],
    *,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = 32,
    workers: int = 0,
    what: str = "predicting",
) -> tuple[Int[Tensor, "N L"], list[SettingLogits]]:
    """Truth in the model's labels (with what is assumed to be absent), and states and logits in each setting, on the CPU.

    Args:
        settings: which labels are known.
        seed: of the choice of known labels.
        draws: how often that choice is made.
        batch_size: pictures that are encoded together.
        workers: processes that read pictures; 0 reads in this one.
        what: the name of the progress bar.
    """
    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=batch_size, workers=workers)
    on_device = (batch.to(tagger.device, non_blocking=True) for batch in track(batches, what, len(batches)))
    assumed = table.assumed_for(tagger.labels) if table.unlisted else None
    return predict(tagger.model, on_device, table.ids, tagger.labels, settings, seed=seed, draws=draws, assumed=assumed)
