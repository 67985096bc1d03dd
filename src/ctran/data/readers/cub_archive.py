"""The text files of CUB-200-2011's official archive, read and checked."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from jaxtyping import Bool, Int

from ctran.data.table import DataError
from ctran.textfile import read_text

_NUM_ATTRIBUTES = 312
VOTES = "attributes/image_attribute_labels.txt"
_FIELDS = ("picture", "attribute", "present", "certainty")
_UNPACK_AGAIN = "unpack the archive again"


@dataclass(frozen=True)
class Archive:
    """Annotations of ``N`` pictures in ``K`` classes; indices start at 0.

    Args:
        files: names below ``images``, in the order of images.txt.
        classes: class of each picture, 0 to ``K`` - 1.
        trains: whether a picture is in the official training set.
        class_names: ``K`` names as in classes.txt, such as ``001.Black_footed_Albatross``.
        attribute_names: 312 names as in attributes.txt, such as ``has_bill_shape::dagger``.
        present: whether the annotator of a picture marked an attribute as present.
        certainty: how sure: 1 (not visible) to 4.
    """

    files: list[str]
    classes: Int[np.ndarray, " N"]
    trains: Bool[np.ndarray, " N"]
    class_names: list[str]
    attribute_names: list[str]
    present: Bool[np.ndarray, "N 312"]
    certainty: Int[np.ndarray, "N 312"]


def read(base: Path, attributes: Path) -> Archive:
    """The archive in folder ``base`` (CUB_200_2011), and the file ``attributes.txt``, which lies elsewhere.

    Raises:
        DataError: a line that does not follow the archive's README; the message names it.
    """
    files = _read_names(base / "images.txt")
    class_names = _read_names(base / "classes.txt")
    present, certainty = _read_votes(base / VOTES, len(files))
    return Archive(
        files,
        _read_codes(base / "image_class_labels.txt", len(files), range(1, len(class_names) + 1)) - 1,
        _read_codes(base / "train_test_split.txt", len(files), range(2)) == 1,
        class_names,
        _read_names(attributes, _NUM_ATTRIBUTES),
        present,
        certainty,
    )


def _read_column(path: Path, count: int | None = None) -> list[str]:
    """Words of a file of lines ``<number> <word>``, numbered 1, 2, 3, ..., ``count`` of them where it is given."""
    words = []
    for number, line in enumerate(read_text(path, DataError).splitlines(), start=1):
        cells = line.split()
        if len(cells) != 2 or cells[0] != str(number):
            raise DataError(f"{path}, line {number}: expected '{number} <word>', got {line!r}; {_UNPACK_AGAIN}")
        words.append(cells[1])
    if not words or len(words) != (count or len(words)):
        raise DataError(f"{path}: expected {count or 'some'} lines, found {len(words)}; {_UNPACK_AGAIN}")
    return words


def _read_names(path: Path, count: int | None = None) -> list[str]:
    """:func:`_read_column`, with distinct words."""
    names = _read_column(path, count)
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(f"{path}: {name} is listed {times} times; {_UNPACK_AGAIN}")
    return names


def _read_codes(path: Path, count: int, codes: range) -> Int[np.ndarray, " N"]:
    """A file of lines ``<picture> <code>`` for every picture, the codes in ``codes``."""
    known = {str(code): code for code in codes}
    words = _read_column(path, count)
    for number, word in enumerate(words, start=1):
        if word not in known:
            raise DataError(
                f"{path}, line {number}: expected a number from {codes[0]} to {codes[-1]}, got {word!r}; {_UNPACK_AGAIN}"
            )
    return np.array([known[word] for word in words])


def _read_votes(path: Path, count: int) -> tuple[Bool[np.ndarray, "N 312"], Int[np.ndarray, "N 312"]]:
    """Matrices ``present`` and ``certainty`` of ``count`` pictures.

    A line is ``<picture> <attribute> <present> <certainty> <seconds>``. Some lines of the official file have a field or two
    more; the first four are what counts, as in the code of Concept Bottleneck Models.
    """
    read_text(path, DataError)  # Arrow cannot name a line that is not text
    invalid: list[pacsv.InvalidRow] = []

    def keep(row: pacsv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    try:
        table = pacsv.read_csv(
            path,
            pacsv.ReadOptions(column_names=[*_FIELDS, "seconds"], use_threads=False),  # threads lose the line's number
            pacsv.ParseOptions(delimiter=" ", invalid_row_handler=keep),
            pacsv.ConvertOptions(column_types=dict.fromkeys(_FIELDS, pa.int32()), include_columns=_FIELDS, null_values=[]),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {error}; {_UNPACK_AGAIN}") from None
    lines = np.stack([table[field].to_numpy() for field in _FIELDS], axis=1)
    return place(
        np.concatenate([lines, np.array([_first_four(row, path) for row in invalid], np.int32).reshape(-1, 4)]), count, path
    )


def _first_four(row: pacsv.InvalidRow, path: Path) -> list[int]:
    """The first four fields of a line that does not have five."""
    cells = row.text.split()[:4]
    if len(cells) < 4 or not all(cell.isdecimal() for cell in cells):
        raise DataError(f"{path}, line {row.number}: expected four numbers and a time, got {row.text!r}; {_UNPACK_AGAIN}")
    return [int(cell) for cell in cells]


def place(lines: Int[np.ndarray, "M 4"], count: int, path: Path) -> tuple[Bool[np.ndarray, "N 312"], Int[np.ndarray, "N 312"]]:
    """Lines of ``_FIELDS`` as two matrices, each cell of which has exactly one line."""
    least, most = np.array([1, 1, 0, 1]), np.array([count, _NUM_ATTRIBUTES, 1, 4])
    if (wrong := ((lines < least) | (lines > most)).any(axis=1)).any():
        first = lines[np.argmax(wrong)].tolist()
        raise DataError(f"{path}: expected {', '.join(_FIELDS)} from {least} to {most}, got {first}; {_UNPACK_AGAIN}")
    cells = (lines[:, 0].astype(np.int64) - 1) * _NUM_ATTRIBUTES + lines[:, 1] - 1
    times = np.bincount(cells, minlength=count * _NUM_ATTRIBUTES)
    if (times != 1).any():
        cell = int(np.argmax(times != 1))
        picture, attribute = divmod(cell, _NUM_ATTRIBUTES)
        raise DataError(
            f"{path}: picture {picture + 1}, attribute {attribute + 1}: expected one line, found {times[cell]}; {_UNPACK_AGAIN}"
        )
    matrices = np.empty((2, count * _NUM_ATTRIBUTES), dtype=np.int8)
    matrices[:, cells] = lines[:, 2:].T
    present, certainty = matrices.reshape(2, count, _NUM_ATTRIBUTES)
    return present == 1, certainty
