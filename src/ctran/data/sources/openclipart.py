"""Open Clip Art 0.18, cleaned: about 4,700 public-domain drawings with human tags (``data/openclipart/README.md``)."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
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
        root: folder with train.parquet, val.parquet and test.parquet; null takes that of the repository's checkout.
    """

    root: Path | None = None


def read(path: Path) -> SampleTable:
    """One split from its Parquet file."""
    if not path.is_file():
        raise DataError(
            f"{path} not found. The pictures are not part of the installed package: copy the folder data/openclipart of "
            "the ctran repository (15 MiB) and give it with --data.root DIR."
        )
    try:
        rows = Dataset(pq.read_table(path)).cast_column("image", Image(decode=False))
        table = SampleTable(rows, LabelSpace(tuple(rows.features["positives"].feature.names)), LabelState.NEGATIVE)
        table.listed  # noqa: B018  (checks the label numbers of every row, so that the error can name the file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (pa.ArrowInvalid, KeyError, AttributeError, ValueError) as error:
        raise DataError(
            f"{path}: not a Parquet file with columns image, id, positives and negatives, as data/openclipart has them "
            f"({type(error).__name__}: {error}); copy it again"
        ) from None
    return table


def build(config: Config) -> dict[str, SampleTable]:
    """All splits. A label that is not listed is absent (``absent: negative``)."""
    root = config.root or CHECKOUT
    return {split: read(root / f"{split}.parquet") for split in ("train", "val", "test")}
