"""Visual Genome's 500 most frequent object categories (VG-500), by the lists that SSGRL published.

The lists hold 82,904 pictures to train on and 10,000 to test on. The papers print 98,249 for training, which cannot be: with
the test pictures that is 108,249, and all of Visual Genome has 108,077. So figures here and printed ones share the test list,
but not for certain the training pictures.

Labels are published as numbers, it seems by falling frequency, without names. They are called ``vg 000`` to ``vg 499`` unless a
file of names is given.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, origins, table_cache
from ctran.data.readers.names import read_labels
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelSpace
from ctran.textfile import read_json, read_text

SUMMARY = "Visual Genome: 82,904 + 10,000 photographs, 500 object categories without published names"
ORIGIN = origins.Origin(
    where="https://github.com/HCPLab-SYSU/SSGRL, folder data/VG (lists), and https://homes.cs.washington.edu/~ranjay/visualgenome",
    size="images.zip 9.2 GB, images2.zip 5.5 GB, and the lists",
    licence="CC BY 4.0; photographs from Flickr by their own licences",
    layout=(
        "train_list_500.txt",
        "test_list_500.txt",
        "vg_category_500_labels_index.json",
        "VG_100K/*.jpg",
        "VG_100K_2/*.jpg (or all pictures in VG_100K)",
    ),
)
TRAIN, TEST, INDEX = "train_list_500.txt", "test_list_500.txt", "vg_category_500_labels_index.json"
COUNTS = {f"pictures in {TRAIN}": 82_904, f"pictures in {TEST}": 10_000}
NAME = "vg500"
NUM_LABELS = 500
FOLDERS = ("VG_100K", "VG_100K_2")


@dataclass(frozen=True)
class Config(Reading):
    """VG-500.

    Args:
        root: folder of the lists, the index and the pictures.
        names: text file with the names of the 500 labels, one a line in the order of their numbers; none are published.
        select_on: ``val``: pictures held out of the training list choose the epoch. ``test``: the test list does, as in the
            released code.
        val: how many training pictures are held out.
        check_counts: refuse lists without the published numbers of pictures.
    """

    root: Path
    names: Path | None = None
    select_on: held_out.Selection = "val"
    val: int = within(5000, 1)
    check_counts: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        return held_out.unused(self.select_on)


def label_space(names: Path | None) -> LabelSpace:
    """The names of a file, or numbers."""
    return read_labels(names, NUM_LABELS) if names else LabelSpace(tuple(f"vg {number:03}" for number in range(NUM_LABELS)))


def read_list(path: Path) -> list[str]:
    """File names of one split."""
    files = read_text(path, DataError).split()
    if len(set(files)) < len(files):
        duplicate = next(i for i, file in enumerate(files) if file in files[:i])
        raise DataError(f"{path}, line {duplicate + 1}: {files[duplicate]} is listed twice; get the file again")
    return files


def read_index(path: Path) -> Mapping[str, object]:
    """The index file: picture -> label numbers, not checked yet."""
    try:
        index = read_json(path, DataError)
    except DataError as error:
        raise DataError(f"{error}; an incomplete download? Get the file again") from None
    if not isinstance(index, dict):
        raise DataError(f"{path}: expected an object of pictures and label numbers, got a {type(index).__name__}")
    return index


def labels_of(files: Sequence[str], index: Mapping[str, object], path: Path) -> list[list[int]]:
    """Distinct label numbers of each picture, ascending."""
    found = []
    for file in files:
        numbers = index.get(file)
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < NUM_LABELS for n in numbers):
            raise DataError(f"{path}: picture {file}: expected a list of numbers from 0 to {NUM_LABELS - 1}, got {numbers!r}")
        found.append(sorted(set(numbers)))
    return found


def find_pictures(root: Path, files: Sequence[str]) -> dict[str, Path]:
    """Where each picture lies: in VG_100K or VG_100K_2."""
    where: dict[str, Path] = {}
    for folder in (root / name for name in reversed(FOLDERS)):
        if folder.is_dir():
            where |= {path.name: path for path in folder.iterdir()}
    if missing := [file for file in files if file not in where]:
        raise DataError(
            f"{NAME}: {len(missing):,} of {len(files):,} pictures are in neither of {root / FOLDERS[0]} and {FOLDERS[1]} "
            f"(first: {missing[0]}).\n{ORIGIN}"
        )
    return where


def read(config: Config) -> dict[str, SampleTable]:
    """The splits, from files that are there."""
    root = config.root.absolute()
    labels = label_space(config.names)
    index = read_index(root / INDEX)
    splits = {name: read_list(root / name) for name in (TRAIN, TEST)}
    if both := set(splits[TRAIN]) & set(splits[TEST]):
        raise DataError(f"{root}: {min(both)} is in {TRAIN} and in {TEST}; get the lists again")
    origins.check_counts({f"pictures in {n}": len(f) for n, f in splits.items()}, COUNTS, NAME, check=config.check_counts)
    where = find_pictures(root, [*splits[TRAIN], *splits[TEST]])
    train, test = (
        file_table.make_table([where[f] for f in files], files, labels_of(files, index, root / INDEX), labels)
        for files in splits.values()
    )
    return held_out.with_selection(train, test, select_on=config.select_on, val=config.val)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check lists, index and pictures. A label that is not listed is absent."""
    root = config.root.absolute()
    inputs = [origins.require(root / name, NAME, ORIGIN) for name in (TRAIN, TEST, INDEX, FOLDERS[0])]
    inputs += [path for path in (root / FOLDERS[1], config.names) if path and path.exists()]
    return table_cache.cached(NAME, config, inputs, lambda: read(config))
