"""Open Clip Art 0.18, cleaned: about 4,700 public-domain drawings with human tags (``data/openclipart/README.md``)."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset, Image

from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelSpace, LabelState

SUMMARY = "4,664 public-domain clip-art pictures with 96 human tags; in the repository, folder data/openclipart"
CHECKOUT = Path(__file__).parents[4] / "data" / "openclipart"


@dataclass(frozen=True)
class Config(Reading):
    """Open Clip Art.

    Args:
        root: folder with train.parquet, val.parquet and test.parquet; a checkout of the repository finds its own.
    """

    root: Path | None = None


def read(path: Path) -> SampleTable:
    """One split from its Parquet file."""
    if not path.is_file():
        raise DataError(
            f"{path} not found. The pictures are not part of the installed package: copy the folder data/openclipart of "
            "the ctran repository (15 MiB) and give it with --data.root DIR."
        )
    rows = Dataset(pq.read_table(path))
    names = rows.features["positives"].feature.names
    return SampleTable(rows.cast_column("image", Image(decode=False)), LabelSpace(tuple(names)), LabelState.NEGATIVE)


def build(config: Config) -> dict[str, SampleTable]:
    """All splits. A label that is not listed is absent (``absent: negative``)."""
    root = config.root or CHECKOUT
    return {split: read(root / f"{split}.parquet") for split in ("train", "val", "test")}
