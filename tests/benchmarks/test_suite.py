"""The suite of label sets: what every set must have, splits without near duplicates, folders that a recipe can read."""

import csv
import io
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.suite import __main__ as program
from benchmarks.suite import build, keywords, near, sets
from benchmarks.suite.drawing import SIDE, Drawing, from_svg
from benchmarks.suite.held_out import KINDS, MEASURED, for_choices, held_out, of_kind
from benchmarks.suite.table import table
from ctran import registry
from ctran.data.sources import imagefolder
from ctran.errors import UserError
from ctran.labels import LabelState
from tests.benchmarks import packages

NAMES = registry.names(sets)
PACKED = [name for name in NAMES if build.find(name).PACKAGES]
"""Sets that are made of packages; the others are sources of the repository with splits of their own."""
FULL = ("lucide", "twemoji")
"""Sets that go all the way to a folder here: one complete, one with holes."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[build.LabelSet, Path]]:
    """Label sets from miniature packages, and the folders they were written to."""
    found = {}
    for name in FULL:
        archives = getattr(packages, name)()
        label_set = build.propose(name, build.collect(name, archives))
        folder = tmp_path_factory.mktemp("suite") / name
        build.write(label_set, folder, archives)
        found[name] = (label_set, folder)
    return found


# ------------------------------------------------------------------- every set


@pytest.mark.parametrize("name", NAMES)
def test_a_set_names_its_kind_licence_and_packages_and_none_of_the_forbidden_data(name: str):
    module = build.find(name)
    assert module.KIND in KINDS
    assert module.SUMMARY and module.LICENCE
    assert isinstance(module.HOLES, bool)
    for package in module.PACKAGES:
        assert len(package.sha256) == 64
        assert not any(word in package.name.lower() for word in ("openmoji", "tuxpaint", "tux-paint"))


@pytest.mark.parametrize("name", PACKED)
def test_a_set_reads_its_packages_and_draws_every_picture_on_white(name: str):
    drawings = build.collect(name, getattr(packages, name)())
    assert len({d.id for d in drawings}) == len(drawings) >= packages.COUNT  # where annotators disagree some have no keyword
    for d in drawings:
        assert d.family and d.split is None
        assert {"arrows", "", "new", "gone"}.isdisjoint(d.keywords)
        assert all(word == keywords.normal(word) for word in d.keywords | d.unknown)
        assert not d.keywords & d.unknown
    used = set().union(*(d.keywords for d in drawings))
    assert {"arrow", "sharp"} <= used
    assert any(d.unknown for d in drawings) == build.find(name).HOLES
    content, ending = drawings[5].picture()
    with Image.open(io.BytesIO(content)) as picture:
        pixels = np.asarray(picture)
    assert (ending, pixels.shape) == (".png", (SIDE, SIDE, 3))
    assert (pixels[:4, :4] == 255).all()
    assert pixels.min() < 128
    assert content == drawings[5].picture()[0]


@pytest.mark.parametrize("name", PACKED)
def test_variants_of_a_drawing_and_pictures_of_the_wrong_kind_are_left_out(name: str):
    ids = {d.id for d in build.collect(name, getattr(packages, name)())}
    assert not any(one in identity for identity in ids for one in ("gone", "filled-only", "brand", "1f3fb", "1f1e9"))


@pytest.mark.parametrize("name", PACKED)
def test_the_committed_list_has_three_splits_and_no_picture_twice(name: str):
    with (build.LISTS / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    listed = {row["picture"]: row["split"] for row in rows}
    assert len(listed) == len(rows) >= 500
    assert [row["picture"] for row in rows] == sorted(listed)
    sizes = {split: list(listed.values()).count(split) for split in near.SPLITS}
    assert sum(sizes.values()) == len(rows)
    for split, share in near.SPLITS.items():
        assert sizes[split] / len(rows) == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("name", ["tabler", "lucide", "phosphor", "fontawesome"])
def test_a_family_of_names_is_in_one_split_of_the_committed_list(name: str):
    listed = build.read_list(name)
    for picture, family in keywords.families(listed).items():
        assert listed[picture] == listed[family], (picture, family)


def test_the_committed_lists_are_small():
    assert sum(path.stat().st_size for path in build.LISTS.iterdir()) < 600_000


def test_every_list_is_of_a_set():
    assert sorted(path.stem for path in build.LISTS.iterdir()) == PACKED


# ------------------------------------------------------------------- held out


def test_one_set_of_each_measured_kind_is_held_out_and_no_other_set_has_its_pictures():
    final = held_out()
    assert [build.find(name).KIND for name in final] == list(MEASURED)
    assert sorted([*final, *for_choices()]) == NAMES
    pictures = {build.find(name).PACKAGES[0] for name in final}
    assert pictures.isdisjoint(package for name in for_choices() for package in build.find(name).PACKAGES)


def test_each_measured_kind_keeps_a_set_for_choices():
    assert all(set(of_kind(kind)) & set(for_choices()) for kind in MEASURED)


# ------------------------------------------------------------------- near duplicates, labels, splits


@pytest.mark.parametrize("name", FULL)
def test_near_duplicates_and_families_are_in_one_split(name: str, built: dict[str, tuple[build.LabelSet, Path]]):
    label_set, _ = built[name]
    hashes = np.stack([near.orientations(Image.open(io.BytesIO(d.picture()[0]))) for d in label_set.drawings])
    distance = (hashes[:, None, None, 0] != hashes[None, :, :]).sum(-1).min(-1)
    pairs = np.argwhere(distance <= near.NEAR["icons"])
    assert any(a != b for a, b in pairs)
    assert all(label_set.drawings[a].split == label_set.drawings[b].split for a, b in pairs)
    by_family: dict[str, set[str | None]] = {}
    for d in label_set.drawings:
        by_family.setdefault(d.family, set()).add(d.split)
    assert all(len(splits) == 1 for splits in by_family.values())


@pytest.mark.parametrize("name", FULL)
def test_of_exactly_the_same_pictures_one_stays(name: str, built: dict[str, tuple[build.LabelSet, Path]]):
    label_set, folder = built[name]
    assert len({path.read_bytes() for path in (folder / "pictures").iterdir()}) == len(label_set.drawings) == packages.COUNT - 1


@pytest.mark.parametrize("name", FULL)
def test_every_label_is_on_all_sides_and_has_enough_pictures(name: str, built: dict[str, tuple[build.LabelSet, Path]]):
    label_set, _ = built[name]
    assert label_set.labels
    for label in label_set.labels:
        splits = [d.split for d in label_set.drawings if label in d.keywords]
        assert set(splits) == set(near.SPLITS)
        assert len(splits) >= near.MIN_PICTURES
    assert all(d.keywords & set(label_set.labels) for d in label_set.drawings)


def test_a_turned_picture_is_a_near_duplicate_and_another_is_not():
    one, other = (Image.open(io.BytesIO(from_svg(packages.svg(n))()[0])) for n in (2, 3))
    hashes = np.stack(
        [near.orientations(p) for p in (one, one.rotate(90), one.transpose(Image.Transpose.FLIP_LEFT_RIGHT), other)]
    )
    assert near.cluster(hashes, ["a", "b", "c", "d"], 4).tolist() == [0, 0, 0, 1]
    assert near.cluster(hashes, ["a", "b", "c", "a"], 4).tolist() == [0, 0, 0, 0]


def test_a_large_cluster_is_cut_by_the_hash_of_the_ids_whatever_their_order():
    drawings = [Drawing(f"p{i}", {"x"}, "", lambda: (b"", ""), split=None) for i in range(near.CLUSTER + 15)]
    kept = {d.id for d, _ in near.cut(drawings, np.zeros(len(drawings), int))}
    assert len(kept) == near.CLUSTER
    assert kept == {d.id for d, _ in near.cut(drawings[::-1], np.zeros(len(drawings), int))}


@pytest.mark.parametrize("name", FULL)
def test_the_list_of_a_set_gives_the_same_labels_again(name: str, built: dict[str, tuple[build.LabelSet, Path]]):
    label_set, _ = built[name]
    listed = {d.id: str(d.split) for d in label_set.drawings}
    again = build.with_list(name, build.collect(name, getattr(packages, name)()), listed)
    assert again.labels == label_set.labels
    assert {d.id: d.split for d in again.drawings} == listed


# ------------------------------------------------------------------- keywords


def test_plurals_become_singulars_only_where_both_are_used():
    assert keywords.singular([{"arrows"}, {"arrow"}, {"news", "glasses"}, {"new"}]) == [
        {"arrow"},
        {"arrow"},
        {"news", "glasses"},
        {"new"},
    ]


def test_a_family_is_the_shortest_name_that_a_name_begins_with_word_by_word():
    names = ["book", "book-open", "book-open-text", "bookmark", "pen-book"]
    found = keywords.families(names)
    assert [found[name] for name in names] == ["book", "book", "book", "bookmark", "pen-book"]


def test_what_is_no_keyword_is_dropped():
    assert keywords.keywords(["*new*", ":D", "12", "x", " Credit_Card ", "the", "dhis2:war"]) == {"credit card"}


def test_in_a_merged_set_the_keywords_of_one_part_are_unknown_in_the_other():
    drawings = build.collect("merged", packages.merged())
    lucide, health = ([d for d in drawings if d.id.startswith(part)] for part in ("lucide-", "healthicons-"))
    assert len(lucide) == len(health) == packages.COUNT
    assert {d.unknown for d in lucide} == {frozenset({"body"})}
    assert {d.unknown for d in health} == {frozenset()}
    assert {d.family for d in lucide}.isdisjoint(d.family for d in health)


def test_where_two_annotators_disagree_a_keyword_is_unknown():
    first, second, third = build.collect("twemoji", packages.twemoji())[:3]
    assert (first.keywords, first.unknown) == ({"animal", "arrow"}, {"round thing", "sharp"})
    assert (second.keywords, second.unknown) == ({"animal", "arrow", "sharp"}, set())
    assert (third.keywords, third.unknown) == ({"animal", "sharp"}, {"arrow", "round thing"})


# ------------------------------------------------------------------- folders


@pytest.mark.parametrize("name", FULL)
def test_a_built_folder_is_read_by_the_imagefolder_source(name: str, built: dict[str, tuple[build.LabelSet, Path]]):
    label_set, folder = built[name]
    holes = build.find(name).HOLES
    tables = imagefolder.build(imagefolder.Config(root=folder, absent="unknown" if holes else "negative"))
    states = set()
    for split, read in tables.items():
        assert len(read) == label_set.count(split)
        assert list(read.labels.names) == label_set.labels
        drawings = {d.id: d for d in label_set.drawings}
        for i, identity in enumerate(read.ids):
            for label, state in zip(label_set.labels, read.truth.rows([i])[0].tolist(), strict=True):
                d = drawings[identity]
                right = (
                    LabelState.POSITIVE
                    if label in d.keywords
                    else LabelState.UNKNOWN
                    if label in d.unknown
                    else LabelState.NEGATIVE
                )
                assert state == right, (identity, label)
                states.add(state)
    assert (LabelState.UNKNOWN in states) == holes
    report = json.loads((folder / "build.json").read_text())
    assert sum(report["pictures"].values()) == len(label_set.drawings)
    assert (report["unknown_share"] > 0) == holes
    assert "as you like" in (folder / "LICENCE").read_text()


def test_subsets_are_nested_and_keep_the_test_split(built: dict[str, tuple[build.LabelSet, Path]]):
    label_set, _ = built["lucide"]
    parts = [label_set.subset(share) for share in (0.05, 0.2, 1.0)]
    for small, large in pairwise(parts):
        assert {d.id for d in small.drawings} < {d.id for d in large.drawings}
        assert set(small.labels) <= set(large.labels)
        assert small.count("test") == large.count("test")
    assert parts[1].count("train") == round(0.2 * label_set.count("train"))
    assert parts[0].count("val") >= 1
    for label in parts[1].labels:
        assert sum(label in d.keywords for d in parts[1].drawings if d.split == "train") >= build.MIN_TRAIN


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float, built: dict[str, tuple[build.LabelSet, Path]]):
    with pytest.raises(UserError, match="share must be"):
        built["lucide"][0].subset(share)


# ------------------------------------------------------------------- the command


def test_the_command_lists_the_sets(capsys: pytest.CaptureFixture[str]):
    assert program.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert {line.split()[0] for line in lines if "held out" in line} == set(held_out())


def test_the_table_has_a_cell_for_each_column(built: dict[str, tuple[build.LabelSet, Path]]):
    text = table([build.describe(label_set) for label_set, _ in built.values()])
    rows = text.splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert "complete" in rows[2] and "choices" in rows[2]
    assert "**held out**" in rows[3] and " %" in rows[3]


def test_the_command_draws_a_sheet_of_a_built_set(tmp_path: Path, built: dict[str, tuple[build.LabelSet, Path]]):
    page = tmp_path / "sheet.png"
    assert program.main(["sheet", str(built["lucide"][1]), "--output", str(page)]) == 0
    with Image.open(page) as picture:
        assert picture.size == (1200, 984)
    assert program.main(["sheet", str(tmp_path), "--output", str(page)]) == 1


def test_a_folder_that_exists_is_refused(tmp_path: Path, built: dict[str, tuple[build.LabelSet, Path]]):
    with pytest.raises(UserError, match="exists; give another --output"):
        build.write(built["lucide"][0], tmp_path, [])


def test_a_set_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["build", "lucid", "--output", str(tmp_path / "x")]) == 1
    assert "unknown set 'lucid'; did you mean 'lucide'?" in capsys.readouterr().err


def test_a_source_s_splits_are_not_made_again(capsys: pytest.CaptureFixture[str]):
    assert program.main(["split", "openclipart"]) == 1
    assert "has the splits of its source" in capsys.readouterr().err


def test_a_list_with_a_picture_that_the_packages_lack_is_refused():
    with pytest.raises(UserError, match=r"lucide\.csv: 1 pictures are not in the packages \(first: 'absent'\)"):
        build.with_list("lucide", build.collect("lucide", packages.lucide()), {"absent": "train"})


def test_without_the_renderer_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UserError, match=r"pip install 'ctran\[suite\]'"):
        from_svg(packages.svg(0))()
