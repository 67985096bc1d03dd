"""PaddleClas's and PaddleX's multi-label lists: ``train.txt`` with 0 and 1 for each label of ``label.txt``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.data.output import Output, by_split, refuse_controls, refuse_unknown
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.listed import label_of, picture_in, split_in
from ctran.data.rows import Annotated, OwnFiles, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.textfile import read_text

SUMMARY = "PaddleClas's multi-label lists: label.txt, and train.txt, val.txt, test.txt with 0 and 1 for each label"
SAYS = Says.DECIDED
LABELS = ("label.txt", "labels.txt", "label_list.txt")


@dataclass(frozen=True, kw_only=True)
class Config(OwnFiles):
    """Lists of PaddleX's MLClsDataset and PaddleClas's MultiLabelDataset: ``path<TAB>0,1,0`` in each line.

    Args:
        root: the folder with the list of labels and the lists of pictures.
        images: folder of the pictures; null looks in the folder and in ``images``.
    """

    root: Path
    images: Path | None = None


def _labels(root: Path) -> tuple[Path, list[str]]:
    """The list of labels and its names: ``id name`` in each line, in the order of the ids."""
    path = next((root / name for name in LABELS if (root / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{root}: no {LABELS[0]} in it (nor {', '.join(LABELS[1:])}); give the folder of the lists as --data.root"
        )
    names: list[str] = []
    for number, line in enumerate(_lines(path), start=1):
        first, _, name = line.partition(" ")
        if first != str(len(names)):
            raise DataError(f"{path}, line {number}: expected '{len(names)} NAME', ids from 0 on, got {line[:60]!r}")
        names.append(label_of(name, f"{path}, line {number}"))
    return path, names


def _lines(path: Path) -> list[str]:
    return [line.rstrip("\r") for line in read_text(path, DataError).split("\n") if line.strip()]


def read(config: Config) -> Annotated:
    """The pictures of all lists."""
    labels, names = _labels(config.root)
    lists = [path for path in sorted(config.root.glob("*.txt")) if path != labels and path.is_file()]
    if not lists:
        raise DataError(f"{config.root}: no list of pictures (train.txt, val.txt, test.txt) beside {labels.name}")
    folders = [config.images] if config.images else [config.root, config.root / "images"]
    rows = []
    for path in lists:
        for number, line in enumerate(_lines(path), start=1):
            where = f"{path}, line {number}"
            name, tab, cells = line.rpartition("\t")
            states = [cell.strip() for cell in cells.split(",")]
            if not tab or not name.strip() or len(states) != len(names) or not {*states} <= {"0", "1"}:
                raise DataError(
                    f"{where}: expected a path, a tab, and {len(names)} times 0 or 1 with commas, one for each line of "
                    f"{labels.name}, got {line[:60]!r}"
                )
            positives, negatives = (tuple(n for n, s in zip(names, states, strict=True) if s == v) for v in ("1", "0"))
            rows.append(Row(where, picture_in(folders, name), name, positives, negatives, split_in(path, config.root)))
    return Annotated(rows, "unknown", tuple(names), config.images)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the lists."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``label.txt``, and a list for each split beside the pictures, whose names are numbers; the options that read it."""
    refuse_unknown(annotated, "Paddle's lists")
    refuse_controls(annotated.labels, "Paddle's label.txt")
    labels, known = annotated.labels, {row.id: states for row, states in annotated.known()}
    output.write("label.txt", "".join(f"{i} {name}\n" for i, name in enumerate(labels)))
    for split, rows in by_split(annotated).items():
        lines = [
            f"{output.picture(row, numbered=True)}\t{','.join(str(int(known[row.id][name])) for name in labels)}\n"
            for row in rows
        ]
        output.write(f"{split or 'list'}.txt", "".join(lines))
    return {"root": Path()}
