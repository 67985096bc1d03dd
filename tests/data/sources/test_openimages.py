"""Open Images: verdicts as drawn with their holes, subsets, release names, and what is refused."""

import os
from pathlib import Path

import pytest

from ctran.data.readers import open_images
from ctran.data.sources import openimages
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelState
from tests.data.miniatures import openimages as miniature

UNKNOWN, NEGATIVE, POSITIVE = LabelState
TRAIN = "oidv7-train-annotations-human-imagelabels.csv"
CODES = list(miniature.DESCRIPTIONS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    miniature.make(tmp_path)
    return tmp_path


def read(root: Path, **options) -> dict[str, SampleTable]:
    return openimages.build(openimages.Config(root, **{"min_positives": 3, **options}))


def said(split: str, codes: list[str]) -> dict[str, list[int]]:
    """Truth as drawn, of the pictures with a verdict on one of ``codes``."""
    states = {None: UNKNOWN, 0: NEGATIVE, 1: POSITIVE}
    drawn = miniature.verdicts(split)
    return {p: [states[v.get(code)] for code in codes] for p, v in drawn.items() if any(code in v for code in codes)}


def truth(table: SampleTable) -> dict[str, list[int]]:
    return dict(zip(table.ids, table.truth.dense().tolist(), strict=True))


def test_verified_labels_are_known_and_all_others_unknown(root):
    tables = read(root)
    common = [code for code in CODES if code != miniature.RARE]
    for split, table in tables.items():
        assert truth(table) == said(split, common)
        assert all(table.picture(i).size == miniature.SIZE for i in range(len(table)))
    states = {state for table in tables.values() for row in table.truth.dense().tolist() for state in row}
    assert states == {UNKNOWN, NEGATIVE, POSITIVE}


def test_labels_with_too_few_positives_in_train_are_left_out_and_two_of_one_name_are_distinguished(root):
    crabs = ("Crab (/m/02xwb)", "Crab (/m/0n28_)")
    expected = ("Person", "Bicycle", "Tree", "Flower", 'Salt, "kosher"', *crabs)
    assert read(root)["train"].labels.names == expected
    assert read(root, min_positives=2)["train"].labels.names == (*expected, "Wood")
    with pytest.raises(DataError, match=r"no label has 99 verified positives .*the most: \d+\); lower --data.min_positives"):
        read(root, min_positives=99)


def test_pictures_without_verdict_and_verdicts_without_picture_are_counted(root, capsys):
    read(root)
    printed = capsys.readouterr().err
    for split, count in miniature.COUNTS.items():
        assert f"openimages: {split}: 2 of {count + 2} pictures on disk have no verified label among the 7 in use" in printed
        assert f"openimages: {split}: 3 annotated pictures are not on disk" in printed
    assert "unknown" not in printed


@pytest.mark.parametrize(("block", "rows"), [(1 << 8, 1), (1 << 8, 10), (1 << 22, 1 << 20)])
def test_blocks_make_no_difference(root, block, rows, monkeypatch):
    monkeypatch.setattr(open_images, "BLOCK", block)
    monkeypatch.setattr(open_images, "ROWS", rows)
    found = open_images.read_verified(root / TRAIN, list(miniature.verdicts("train")), CODES)
    drawn = [(i, CODES.index(c), v) for i, x in enumerate(miniature.verdicts("train").values()) for c, v in x.items()]
    assert found.positives.tolist() == sorted(len(CODES) * i + c for i, c, v in drawn if v)
    assert found.negatives.tolist() == sorted(len(CODES) * i + c for i, c, v in drawn if not v)
    assert (found.contradictions, found.elsewhere) == (0, 3)


def test_a_list_of_labels_by_code_or_name_sets_the_order(root, capsys):
    (root / "labels.txt").write_text("Tree\n\n/m/083vt\n/m/0n28_\n")
    codes = ["/m/07j7r", "/m/083vt", "/m/0n28_"]
    tables = read(root, labels=root / "labels.txt", min_positives=99)
    assert tables["train"].labels.names == ("Tree", "Wood", "Crab")
    assert all(truth(table) == said(split, codes) for split, table in tables.items())
    left = len(miniature.verdicts("train")) - len(tables["train"])
    assert f"train: {left} of 22 pictures on disk have no verified label among the 3 in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Tree\nFlowr\n", r"labels.txt, line 2: unknown label 'Flowr'; did you mean 'Flower'\?"),
        ("Crab\n", r"line 1: 2 labels are called 'Crab'; give a code: /m/02xwb, /m/0n28_"),
        ("Tree\n/m/07j7r\n", r"line 2: label '/m/07j7r' is listed twice"),
        ("\n", r"labels.txt: expected a label a line, found none"),
        (None, r"labels.txt not found; give a text file of labels as --data.labels"),
    ],
)
def test_lists_that_do_not_fit_are_refused(root, text, message):
    if text is not None:
        (root / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read(root, labels=root / "labels.txt")


def test_what_was_annotated_both_ways_is_unknown_and_counted(root, capsys):
    picture, code = next(
        (p, c) for p, v in miniature.verdicts("train").items() for c in v if c != miniature.RARE and len(v) > 2
    )
    value = miniature.verdicts("train")[picture][code]
    lines = (root / TRAIN).read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if line.startswith(picture))
    lines[place:place] = [f"{picture},verification,{code},{v}\n" for v in (1 - value, value)]
    (root / TRAIN).write_text("".join(lines))
    expected = said("train", CODES[:-1])
    expected[picture][CODES.index(code)] = UNKNOWN
    assert truth(read(root)["train"]) == expected
    assert "train: 1 labels were verified to be there and not to be there: unknown" in capsys.readouterr().err


def test_files_of_other_releases_and_merged_pictures_will_do(root):
    expected = {split: truth(table) for split, table in read(root).items()}
    for split, name in (("train", "oidv6-train"), ("val", "validation"), ("test", "test")):
        rest = "-annotations-human-imagelabels.csv"
        (root / f"oidv7-{split}{rest}").rename(root / f"{name}{rest}")
    descriptions = (root / "oidv7-class-descriptions.csv").read_text().partition("\n")[2]
    (root / "oidv7-class-descriptions.csv").unlink()
    (root / "class-descriptions.csv").write_text(descriptions)  # without header
    (root / "train").mkdir()
    for path in [*(root / "train_0").iterdir(), *(root / "train_f").iterdir()]:
        path.rename(root / "train" / path.name)
    assert {split: truth(table) for split, table in read(root).items()} == expected


def test_files_of_two_releases_are_not_chosen_between(root):
    (root / "oidv6-class-descriptions.csv").write_text("")
    with pytest.raises(
        DataError, match=r"oidv6-class-descriptions.csv and oidv7-class-descriptions.csv are both in .*; keep the"
    ):
        read(root)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        (["train_0", "train_f"], "train"),
    ],
)
def test_what_is_missing_is_named_with_its_origin(root, gone, named):
    for name in gone:
        (root / name).rename(root / f"no {name}")
    with pytest.raises(
        DataError, match=rf"/{named} not found.\n  get it from https://storage.googleapis.com/openimages/.*CC BY 4.0"
    ):
        read(root)


def test_pictures_of_another_split_are_no_split(root):
    (root / "test").rename(root / "moved")
    (root / "validation").rename(root / "test")
    (root / "moved").rename(root / "validation")
    with pytest.raises(DataError, match=r"no picture of split val has a verified label in use; are these the pictures of that"):
        read(root)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "x,verification,/m/07j7r,0.7",
            r"line 2: expected a person's verdict, .* got ImageID x, .*Confidence 0.7. Machine-generated",
        ),
        ("x,machine,/m/07j7r,1", r"line 2: expected a person's verdict, .* Source machine"),
        ("x,verification,/m/07j7r,", r"line 2: expected a person's verdict, .* Confidence None"),
        (
            "x,verification,/m/07j7r,yes",
            r"Row #2: CSV conversion error to double: invalid value 'yes'.* download the file again",
        ),
        ("x,verification,/m/07j7r", r"Row #2: Expected 4 columns, got 3"),
        (f"{miniature.identity('train', 0)},verification,/m/none,1", r"label /m/none has no description; use descriptions and"),
    ],
)
def test_rows_that_are_no_verdict_are_refused_by_line(root, row, message):
    header, _, rest = (root / TRAIN).read_text().partition("\n")
    (root / TRAIN).write_text(f"{header}\n{row}\n{rest}")
    with pytest.raises(DataError, match=message):
        read(root)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (TRAIN, "ImageID,LabelName\n", r"'Source' in include_columns does not exist.* Expected columns ImageID, Source"),
        (TRAIN, "", r"human-imagelabels.csv: Empty CSV file"),
        ("oidv7-class-descriptions.csv", "/m/1,A,B\n", r"descriptions.csv, line 1: expected a label code and a name, got "),
        ("oidv7-class-descriptions.csv", "/m/1,A\n/m/1,B\n", r"descriptions.csv, line 2: label /m/1 is there twice"),
    ],
)
def test_files_that_are_not_as_published_are_refused(root, file, text, message):
    (root / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read(root)


def test_a_label_needs_at_least_one_positive(root):
    with pytest.raises(ValueError, match=r"data.min_positives must be at least 1, got 0"):
        openimages.Config(root, min_positives=0)


def test_selection_on_test_makes_val_the_test_split(root):
    tables = read(root, select_on="test")
    assert truth(tables["val"]) == truth(tables["test"]) == said("test", CODES[:-1])


def test_a_second_build_is_read_from_disk_until_a_file_or_folder_changes(root):
    first = truth(read(root)["train"])
    path, before = root / TRAIN, (root / TRAIN).stat()
    text = path.read_text()
    path.write_text("x" * len(text))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it had not changed
    assert truth(read(root)["train"]) == first
    path.write_text(text)
    gone = next(iter(first))
    next(root.rglob(f"{gone}.jpg")).unlink()
    assert truth(read(root)["train"]) == {p: row for p, row in first.items() if p != gone}
