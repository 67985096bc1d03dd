"""Open Images' human-verified labels of given pictures, read in one pass over files that are larger than memory."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from jaxtyping import Int64

from ctran.data.table import DataError
from ctran.progress import bar
from ctran.textfile import read_text

BLOCK = 1 << 22
"""Bytes read at a time; Arrow reads up to 32 blocks ahead."""
ROWS = 1 << 20
"""Rows looked up at a time: many, because each look-up builds an index of the given pictures."""
COLUMNS = {"ImageID": pa.string(), "Source": pa.string(), "LabelName": pa.string(), "Confidence": pa.float64()}


@dataclass(frozen=True)
class Verified:
    """Human labels of the given pictures; a key is ``picture * num_labels + label``, keys are sorted and distinct.

    Args:
        positives: verified as present.
        negatives: verified as absent.
        contradictions: pairs verified as both; they are in neither list, so unknown.
        elsewhere: pictures in the file that are not among the given ones.
    """

    positives: Int64[np.ndarray, " R"]
    negatives: Int64[np.ndarray, " S"]
    contradictions: int
    elsewhere: int


def read_descriptions(path: Path) -> dict[str, str]:
    """Label code (``/m/01g317``) -> display name, in the file's order; releases before V6 have no header."""
    names: dict[str, str] = {}
    for number, cells in enumerate(csv.reader(io.StringIO(read_text(path, DataError), newline="")), start=1):
        if cells == ["LabelName", "DisplayName"] and number == 1:
            continue
        if len(cells) != 2 or not cells[0].startswith("/"):
            raise DataError(f"{path}, line {number}: expected a label code and a name, got {cells}; download the file again")
        if cells[0] in names:
            raise DataError(f"{path}, line {number}: label {cells[0]} is there twice; download the file again")
        names[cells[0]] = cells[1]
    return names


def read_rows(path: Path) -> Iterator[pa.Table]:
    """Tables of about :data:`ROWS` rows with :data:`COLUMNS`, every row checked to be verified by a person."""
    line, read, gathered = 2, 0, []
    try:
        with pa.OSFile(str(path)) as file, bar(f"reading {path.name}", path.stat().st_size) as advance:
            reader = pacsv.open_csv(
                file,
                pacsv.ReadOptions(block_size=BLOCK, use_threads=False),  # threads lose the line's number
                convert_options=pacsv.ConvertOptions(column_types=COLUMNS, include_columns=list(COLUMNS)),
            )
            for rows in reader:
                _check_rows(rows, path, line)
                gathered.append(rows)
                if sum(map(len, gathered)) >= ROWS:
                    yield pa.Table.from_batches(gathered)
                    gathered = []
                advance(file.tell() - read)
                line, read = line + len(rows), file.tell()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(f"{path}: {error}. Expected columns {', '.join(COLUMNS)}; download the file again") from None
    if gathered:
        yield pa.Table.from_batches(gathered)


def _check_rows(rows: pa.RecordBatch, path: Path, line: int) -> None:
    """DataError at the first row that is not verified by a person; ``line`` is the line of row 0 in the file."""
    confidence = rows["Confidence"].to_numpy(zero_copy_only=False)
    machine = pc.call_function("equal", [rows["Source"], pa.scalar("machine")]).to_numpy(zero_copy_only=False)
    wrong = (confidence != 0) & (confidence != 1) | machine  # a missing confidence is NaN, so wrong
    if wrong.any():
        first = int(np.argmax(wrong))
        row = ", ".join(f"{name} {rows[name][first].as_py()}" for name in COLUMNS)
        raise DataError(
            f"{path}, line {line + first}: expected a person's verdict, Confidence 0 or 1, got {row}. Machine-generated labels "
            "are not verified: use the file with human-imagelabels in its name"
        )


def read_verified(path: Path, pictures: list[str], labels: list[str]) -> Verified:
    """Verified labels in ``path`` of ``pictures`` (distinct ids); other pictures are counted and skipped.

    Args:
        path: ``...-annotations-human-imagelabels.csv`` with the columns of :data:`COLUMNS`; rows of a picture are adjacent.
        pictures: ids of the given pictures.
        labels: codes of all labels of the release.

    Raises:
        DataError: a row that is malformed, machine-made or has an unknown label.
    """
    at_hand = pc.SetLookupOptions(pa.array(pictures, pa.string()))
    codes = pc.SetLookupOptions(pa.array(labels, pa.string()))
    keys, yes = [np.empty(0, np.int64)], [np.empty(0, bool)]
    seen = np.zeros(len(pictures), dtype=bool)
    annotated, last = 0, None
    for rows in read_rows(path):
        ids = rows["ImageID"]
        annotated += len(ids.unique()) - (ids[0] == last)
        last = ids[-1]
        found = pc.call_function("index_in", [ids], at_hand)
        kept = rows.filter(found.is_valid())
        label = pc.call_function("index_in", [kept["LabelName"]], codes)
        if label.null_count:
            code = kept["LabelName"].filter(label.is_null())[0]
            raise DataError(f"{path}: label {code} has no description; use descriptions and labels of one release")
        picture = found.drop_null().to_numpy().astype(np.int64)
        seen[picture] = True
        keys.append(picture * len(labels) + label.to_numpy())
        yes.append(kept["Confidence"].to_numpy() == 1)
    key, is_there = np.concatenate(keys), np.concatenate(yes)
    positives, negatives = np.unique(key[is_there]), np.unique(key[~is_there])
    both = np.intersect1d(positives, negatives, assume_unique=True)
    return Verified(
        np.setdiff1d(positives, both, assume_unique=True),
        np.setdiff1d(negatives, both, assume_unique=True),
        len(both),
        annotated - int(seen.sum()),
    )
