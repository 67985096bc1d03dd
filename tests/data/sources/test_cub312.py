"""CUB-312: votes of the training pictures counted again one by one, and what is refused."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from ctran.data.readers.cub_concepts import CONCEPTS, GROUPS, class_attributes, frequent
from ctran.data.sources import cub312
from ctran.data.table import DataError, SampleTable
from ctran.labels import LabelState
from tests.data.miniatures import cub312 as miniature

UNKNOWN, NEGATIVE, POSITIVE = LabelState
VOTES = "CUB_200_2011/attributes/image_attribute_labels.txt"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cub")
    miniature.make(root)
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil; the pictures are shared."""
    shutil.copytree(original, tmp_path / "cub", ignore=lambda *_: ["images"])
    (tmp_path / "cub/CUB_200_2011/images").symlink_to(original / "CUB_200_2011/images")
    return tmp_path / "cub"


def read(root: Path, **options) -> dict[str, SampleTable]:
    return cub312.build(cub312.Config(root, **{"check_counts": False, "val": 8, **options}))


def votes_of(files: list[str]) -> list[list[bool]]:
    """Attributes of each class, counted as the rule says, from the drawn votes of ``files``."""
    present, certainty = miniature.votes()
    balance = [[0] * 312 for _ in range(200)]
    for file in files:
        picture = miniature.FILES.index(file)
        for attribute in range(312):
            if present[picture, attribute]:
                balance[picture // 3][attribute] += 1
            elif certainty[picture, attribute] != 1:
                balance[picture // 3][attribute] -= 1
    return [[value >= 0 for value in row] for row in balance]


@pytest.mark.parametrize("options", [{}, {"select_on": "test"}])
def test_every_picture_has_its_class_and_the_attributes_voted_for_in_train(original, options, capsys):
    tables = read(original, **options)
    counted = votes_of(tables["train"].ids)
    for table in tables.values():
        for file, row in zip(table.ids, table.truth.dense().tolist(), strict=True):
            number = miniature.FILES.index(file) // 3
            assert row[:200] == [POSITIVE if c == number else NEGATIVE for c in range(200)]
            assert row[200:] == [POSITIVE if counted[number][a] else NEGATIVE for a in CONCEPTS]
    assert "votes over" not in capsys.readouterr().err  # the published 112 came out
    assert [a for a in range(312) if sum(row[a] for row in counted) >= 10] == list(CONCEPTS)


def test_splits_are_the_official_ones_or_the_papers_sizes(original):
    train = [f for f, t in zip(miniature.FILES, miniature.TRAINS, strict=True) if t]
    test = [f for f, t in zip(miniature.FILES, miniature.TRAINS, strict=True) if not t]
    tables = read(original)
    assert sorted(tables["train"].ids + tables["val"].ids) == train and tables["test"].ids == test
    assert len(tables["val"]) == 8
    paper = read(original, split="paper", attributes="image", val=20)
    assert {s: len(t) for s, t in paper.items()} == {"train": 460, "val": 20, "test": 120}
    assert sorted(f for t in paper.values() for f in t.ids) == sorted(miniature.FILES)
    assert round(0.2 * cub312.COUNTS["pictures"]) == 2_358  # the paper, Sec. 4.3


def test_labels_are_an_exclusive_group_of_classes_and_28_groups_of_extra_attributes(original):
    labels = read(original)["train"].labels
    assert labels.names[:200] == tuple(miniature.CLASSES) and labels.targets.tolist() == [True] * 200 + [False] * 112
    assert labels.names[200] == "has_bill_shape::dagger"
    species, *groups = labels.groups
    assert (species.name, species.labels, species.exclusive) == ("species", tuple(miniature.CLASSES), True)
    assert not any(group.exclusive for group in groups)
    assert tuple(name for group in groups for name in group.labels) == labels.extra
    assert [(g.name, len(g.labels)) for g in groups] == list(GROUPS.items()) and len(groups) == 28
    assert all(name.startswith(f"has_{group.name}::") for group in groups for name in group.labels)


def test_each_pictures_own_annotation_has_holes_where_the_part_is_not_visible(original):
    present, certainty = miniature.votes()
    for table in read(original, attributes="image").values():
        for file, row in zip(table.ids, table.truth.dense()[:, 200:].tolist(), strict=True):
            n = miniature.FILES.index(file)
            said = [(present[n, a], certainty[n, a]) for a in CONCEPTS]
            assert row == [POSITIVE if p else UNKNOWN if c == 1 else NEGATIVE for p, c in said]


def test_concepts_that_are_not_visible_in_a_test_picture_are_absent_on_request(original):
    _, certainty = miniature.votes()
    plain, changed = (read(original, invisible=value) for value in ("class", "absent"))
    assert all(torch.equal(plain[split].truth.dense(), changed[split].truth.dense()) for split in ("train", "val"))
    before, after = plain["test"].truth.dense(), changed["test"].truth.dense()
    rows = [miniature.FILES.index(file) for file in plain["test"].ids]
    invisible = torch.from_numpy(certainty[rows][:, list(CONCEPTS)] == 1)
    assert torch.equal(after[:, :200], before[:, :200])
    assert torch.equal(after[:, 200:], before[:, 200:].masked_fill(invisible, int(NEGATIVE)))
    assert (before != after).any()


def test_a_tie_is_present_and_absent_of_what_is_not_visible_is_not_a_vote():
    present = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1]], dtype=bool)
    certainty = np.array([[4, 1, 2, 1], [3, 1, 1, 1], [1, 4, 4, 4]])
    classes = np.array([0, 0, 1])
    #               tie, nobody voted, one no | a "present" of what is not visible counts
    assert class_attributes(present, certainty, classes, 2).tolist() == [[True, True, False, True], [True, True, False, True]]


def test_an_attribute_is_frequent_from_ten_classes_on():
    values = np.zeros((12, 2), dtype=bool)
    values[:9, 0] = values[:10, 1] = True
    assert frequent(values) == (1,)


def test_another_selection_is_reported_and_the_published_list_is_used(root, capsys):
    lines = (root / VOTES).read_text().splitlines(keepends=True)
    for n, line in enumerate(lines):
        attribute = n % 312
        if attribute in (0, 1):  # said everywhere of the first, which is not in the list; nowhere of the second, which is
            cells = line.split()
            lines[n] = f"{cells[0]} {cells[1]} {1 - attribute} 4 1.0\n"
    (root / VOTES).write_text("".join(lines))
    table = read(root)["train"]
    said = capsys.readouterr().err
    assert (
        "select 112 attributes, not the published 112 (+has_bill_shape::curved_(up_or_down), -has_bill_shape::dagger)" in said
    )
    assert table.labels.extra[0] == "has_bill_shape::dagger" and (table.truth.dense()[:, 200] == NEGATIVE).all()


def test_root_may_be_the_folder_itself_and_attributes_may_lie_inside(root):
    expected = read(root)["test"]
    assert read(root / "CUB_200_2011")["test"].ids == expected.ids
    for place in ("CUB_200_2011/attributes.txt", "CUB_200_2011/attributes/attributes.txt"):
        source = next(root.rglob("attributes.txt"))
        source.rename(root / place)
        assert (read(root)["test"].truth.dense() == expected.truth.dense()).all()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (VOTES, "\n2 3 ", "\n2 3 x", r"image_attribute_labels.txt: .*column #2.*invalid value 'x"),
        (VOTES, "\n2 3 ", "\n2 312 ", r"picture 2, attribute 3: expected one line, found 0"),
        (
            VOTES,
            "\n2 3 ",
            "\n2 313 ",
            r"expected picture, attribute, .* from \[1 1 0 1\] to \[600 312   1   4\], got \[2, 313, ",
        ),
        (VOTES, "\n2 3 ", "\n601 3 ", r"got \[601, 3, "),
        (VOTES, "\n2 3 ", "\n2 3 0 9 1 1\n2 3 ", r"got \[2, 3, 0, 9\]"),
        (VOTES, "\n2 3 ", "\n2 3 0\n2 3 ", r"line 315: expected four numbers and a time, got '2 3 0'"),
        ("attributes.txt", "has_bill_shape::dagger", "has_beak::dagger", r"group 'bill_shape' .*expected 4, found 3"),
        ("attributes.txt", "312 has", "313 has", r"attributes.txt, line 312: expected '312 <word>', got '313 has"),
        ("attributes.txt", f"312 {miniature.NAMES[-1]}\n", "", r"attributes.txt: expected 312 lines, found 311"),
        ("CUB_200_2011/images.txt", miniature.FILES[1], miniature.FILES[0], r"images.txt: .*jpg is listed 2 times"),
        ("CUB_200_2011/image_class_labels.txt", "\n9 3\n", "\n9 201\n", r"line 9: expected a number from 1 to 200, got '201'"),
        ("CUB_200_2011/train_test_split.txt", "\n9 0\n", "\n9 yes\n", r"line 9: expected a number from 0 to 1, got 'yes'"),
        ("CUB_200_2011/train_test_split.txt", "\n600 0\n", "\n", r"train_test_split.txt: expected 600 lines, found 599"),
    ],
)
def test_malformed_content_is_refused_by_line(root, file, old, new, message):
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read(root)


def test_a_class_without_training_pictures_cannot_be_voted_on(original):
    with pytest.raises(DataError, match=r"no training picture of class 0\d\d.Bird_\d+ is left .* --data.val"):
        read(original, val=300)
    assert len(read(original, val=300, attributes="image")["train"]) == 100


def test_the_miniature_has_the_real_attributes_and_irregular_lines(original):
    assert len(miniature.NAMES) == len(set(miniature.NAMES)) == 312
    fields = Counter(len(line.split()) for line in (original / VOTES).read_text().splitlines())
    assert fields == {5: 600 * 312 - 4, 6: 2, 7: 2}
