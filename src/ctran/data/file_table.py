"""A sample table of picture files, and the columns that it has on disk."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value

from ctran.data.table import SampleTable
from ctran.labels import LabelSpace, LabelState

FEATURES = Features(
    image=Image(decode=False), id=Value("string"), positives=List(Value("int32")), negatives=List(Value("int32"))
)


def make_table(
    paths: Sequence[Path],
    ids: Sequence[str],
    positives: Sequence[Sequence[int]],
    labels: LabelSpace,
    *,
    negatives: Sequence[Sequence[int]] | None = None,
    absent: LabelState = LabelState.NEGATIVE,
) -> SampleTable:
    """A table of picture files; ``positives`` and ``negatives`` hold label indices, one list a picture."""
    columns = {
        "image": [{"bytes": None, "path": str(path)} for path in paths],
        "id": list(ids),
        "positives": list(positives),
        "negatives": [[] for _ in ids] if negatives is None else list(negatives),
    }
    return SampleTable(Dataset.from_dict(columns, features=FEATURES), labels, absent)
