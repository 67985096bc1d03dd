"""What is asked of a collection: all that changes the rows of the output, and what only changes how they are made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ctran.collection.known_cells import Columns
from ctran.images.truncated import Truncated

Form = Literal["parquet", "csv", "jsonl"]
Kind = Literal["auto", "folder", "csv", "jsonl", "parquet", "webdataset"]


@dataclass(frozen=True)
class Options:
    """What changes the rows; part files of other options are not mixed.

    Args:
        form: of the part files.
        threshold: probability from which on a label is present; None takes the model's own.
        top: probabilities of so many labels are written, and of those that are present.
        dense: the probabilities of all labels too, in the order of the model's.
        part_size: pictures in a part file, at most; a tar file is one part.
        known: known labels of all pictures, where a row does not state another.
        fast: compute in bfloat16.
        truncated, white: as of :func:`ctran.images.reading.open_image`.
        columns: of tables.
    """

    form: Form = "parquet"
    threshold: float | None = None
    top: int = 5
    dense: bool = False
    part_size: int = 10_000
    known: Mapping[str, bool] = field(default_factory=dict)
    fast: bool = False
    truncated: Truncated = "refuse"
    white: float | None = None
    columns: Columns = field(default_factory=Columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as it comes back from JSON."""
        found = asdict(self)
        found["columns"]["ignore"] = list(self.columns.ignore)
        return found


@dataclass(frozen=True)
class Job:
    """One collection to predict.

    Args:
        run: model folder, run or exported folder.
        input: path or URL.
        output: folder of the part files, path or URL.
        options: what changes the rows.
        kind: of the input.
        device: that computes; ``auto`` takes all GPUs of the machine where there are any.
        batch_size: pictures that are computed together; None is 16, or 64 on a GPU.
        workers: processes that decode; 0 decodes in the process that computes, which a picture that crashes its decoder ends.
        part: (i, n): of ``n`` starts of this job that share its shards, number ``i`` from 1 on.
        fail_fast: stop at the first picture that cannot be predicted.
        retry_errors: do parts again that have errors.
    """

    run: str
    input: str
    output: str
    options: Options = field(default_factory=Options)
    kind: Kind = "auto"
    device: str = "auto"
    batch_size: int | None = None
    workers: int = 1
    part: tuple[int, int] = (1, 1)
    fail_fast: bool = False
    retry_errors: bool = False
