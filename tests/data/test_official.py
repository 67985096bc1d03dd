"""What every published data set must do, tried on its miniature; and the cache, counts and hold-out that they share."""

import dataclasses
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch

from ctran import registry
from ctran.data import official, sources
from ctran.data.table import DataError
from ctran.labels import LabelSpace, LabelState
from tests.data import miniatures

NAMES = registry.names(miniatures)
ORIGIN = official.Origin("example.org/data", "1 GB", "CC BY 4.0", ("pictures/", "labels.csv"), "Register first.")


def miniature(name: str, root: Path):
    """Source module and the config of a miniature freshly made in ``root``."""
    options = import_module(f"tests.data.miniatures.{name}").make(root)
    source = registry.find(sources, name)
    return source, source.Config(root=root, **options)


@pytest.fixture(scope="module", params=NAMES)
def built(request, tmp_path_factory):
    """Source module, config and tables of one miniature, built twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTRAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        source, config = miniature(request.param, tmp_path_factory.mktemp(request.param))
        yield source, config, source.build(config), source.build(config)


def test_every_published_data_set_has_a_miniature():
    published = [name for name in registry.names(sources) if hasattr(registry.find(sources, name), "ORIGIN")]
    assert sorted(published) == NAMES and len(NAMES) == 7


def test_it_says_where_it_is_from(built):
    source = built[0]
    text = str(source.ORIGIN)
    assert "licence" in text and "expected below --root" in text and source.ORIGIN.layout
    assert ("get it from" in text) != ("not public" in text)


def test_splits_are_disjoint_and_over_one_label_space(built):
    tables = built[2]
    assert list(tables) == ["train", "val", "test"]
    ids = [i for t in tables.values() for i in t.ids]
    assert len(set(ids)) == len(ids)
    assert len({t.labels for t in tables.values()}) == 1


def test_pictures_open_and_truth_has_both_answers(built):
    for table in built[2].values():
        assert table.picture(0).size[0] > 1
        codes = set(table.truth.dense().unique().tolist())
        assert {int(LabelState.NEGATIVE), int(LabelState.POSITIVE)} <= codes
    built[2]["train"].check_learnable()


def test_a_second_start_reads_the_same_from_the_cache(built):
    _, _, first, second = built
    for split, table in first.items():
        again = second[split]
        assert again.ids == table.ids and again.labels == table.labels and torch.equal(again.truth.dense(), table.truth.dense())
        assert again.rows["image"][0] == table.rows["image"][0] and again.absent == table.absent


def test_the_test_set_may_choose_the_epoch_as_the_authors_did(built):
    source, config, tables, _ = built
    theirs = source.build(dataclasses.replace(config, select_on="test"))
    assert theirs["val"].ids == theirs["test"].ids == tables["test"].ids
    if tables["val"].ids[0] in theirs["train"].ids:
        assert set(theirs["train"].ids) == set(tables["train"].ids) | set(tables["val"].ids)
    else:  # a validation split of its own
        assert len(theirs["train"]) == len(tables["train"])


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_says_what_was_looked_for_and_where_it_is_from(name, tmp_path):
    source, config = miniature(name, tmp_path / "full")
    with pytest.raises(DataError) as error:
        source.build(dataclasses.replace(config, root=tmp_path / "empty"))
    message = str(error.value)
    assert str(tmp_path / "empty") in message and "expected below --root" in message and source.ORIGIN.layout[0] in message


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_moved_is_read_anew(name, tmp_path):
    options = import_module(f"tests.data.miniatures.{name}").make(tmp_path / "here")
    source = registry.find(sources, name)
    before = source.build(source.Config(root=tmp_path / "here", **options))["test"]
    size = before.picture(0).size
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = {k: tmp_path / "there" / v.relative_to(tmp_path / "here") if isinstance(v, Path) else v for k, v in options.items()}
    after = source.build(source.Config(root=tmp_path / "there", **moved))["test"]
    assert after.ids == before.ids and after.picture(0).size == size


# ------------------------------------------------------------- what they share


def test_counts_that_differ_are_an_error_or_a_warning(capsys):
    known = {"train pictures": 82_081, "test pictures": 40_137}
    official.check_counts(known, known, "coco80", check=True)
    found = known | {"train pictures": 80_000}
    with pytest.raises(DataError, match=r"coco80: train pictures: expected 82,081, found 80,000.*--data.check_counts false"):
        official.check_counts(found, known, "coco80", check=True)
    official.check_counts(found, known, "coco80", check=False)
    assert "warning: coco80: train pictures: expected 82,081" in capsys.readouterr().err


def test_what_was_said_while_reading_is_said_again_from_the_cache(tmp_path, capsys):
    labels = LabelSpace(("x",))

    def make():
        official.say("3 pictures are left out")
        table = official.make_table([tmp_path / "a", tmp_path / "b"], ["a", "b"], [[0], []], labels)
        return official.with_selection(table, table, select_on="val", val=1)

    for _ in range(2):
        official.cached("toy", Options(tmp_path), [tmp_path], make)
        assert capsys.readouterr().err == "3 pictures are left out\n"


def test_missing_pictures_are_counted_and_the_first_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    official.require_pictures(tmp_path, ["a.jpg"], "birds", ORIGIN)
    with pytest.raises(DataError, match=r"birds: 2 of 3 pictures are not in .*first: b.jpg") as error:
        official.require_pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], "birds", ORIGIN)
    assert "get it from example.org/data (1 GB; licence: CC BY 4.0)" in str(error.value)
    assert "Register first." in str(error.value) and "labels.csv" in str(error.value)


def test_missing_pictures_are_counted_by_folder(tmp_path):
    (tmp_path / "2014/05").mkdir(parents=True)
    (tmp_path / "2014/05/a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    official.require_pictures(tmp_path, ["2014/05/a.jpg", "b.jpg"], "news", ORIGIN)
    with pytest.raises(DataError, match=r"news: 1 of 2 pictures are not in .*2014/05 .first: c.jpg"):
        official.require_pictures(tmp_path, ["2014/05/a.jpg", "b.jpg", "2014/05/c.jpg"], "news", ORIGIN)
    with pytest.raises(DataError, match=r"news: .*2014/06 not found"):
        official.require_pictures(tmp_path, ["b.jpg", "2014/06/a.jpg"], "news", ORIGIN)


def test_held_out_pictures_depend_on_their_ids_alone():
    ids = [f"{i}.jpg" for i in range(50)]
    kept, held = official.hold_out(ids, 10)
    assert sorted(kept + held) == list(range(50)) and len(held) == 10
    again = official.hold_out(ids[::-1], 10)[1]
    assert {ids[i] for i in held} == {ids[::-1][i] for i in again}
    assert set(held) < set(official.hold_out(ids, 20)[1])


@pytest.mark.parametrize("count", [0, 50, -1])
def test_holding_out_nothing_or_everything_is_refused(count):
    with pytest.raises(DataError, match="between 1 and 49 training pictures"):
        official.hold_out([str(i) for i in range(50)], count)


@dataclass(frozen=True)
class Options:
    root: Path
    size: int = 3


def test_the_cache_knows_options_files_and_its_format(tmp_path, monkeypatch):
    made = []
    (tmp_path / "labels.csv").write_text("a")

    def build(config):
        def make():
            made.append(config.size)
            ids = [str(i) for i in range(config.size)]
            labels = LabelSpace(("x", "y"))
            table = official.make_table([config.root / i for i in ids], ids, [[0]] * config.size, labels)
            return official.with_selection(table, table, select_on="test", val=1)

        return official.cached("toy", config, [tmp_path / "labels.csv"], make)

    first, second = build(Options(tmp_path)), build(Options(tmp_path))
    assert made == [3] and second["val"] is second["test"]
    assert [t.truth.dense().tolist() for t in first.values()] == [t.truth.dense().tolist() for t in second.values()]
    build(Options(tmp_path, size=4))
    (tmp_path / "labels.csv").write_text("changed")
    build(Options(tmp_path))
    assert made == [3, 4, 3]
    monkeypatch.setattr(official, "FORMAT", official.FORMAT + 1)
    build(Options(tmp_path))
    assert made == [3, 4, 3, 3]


def test_tables_are_found_by_other_options_that_give_the_same_with_what_was_said(tmp_path, capsys):
    def make():
        official.say("3 pictures are left out")
        table = official.make_table([tmp_path / "a", tmp_path / "b"], ["a", "b"], [[0], []], LabelSpace(("x",)))
        return official.with_selection(table, table, select_on="val", val=1)

    def others(tables):
        return Options(tmp_path, len(tables["train"])), []

    first = official.cached("toy", Options(tmp_path), [tmp_path], make, same=others)
    capsys.readouterr()
    again = official.cached("toy", Options(tmp_path, 1), [], lambda: pytest.fail("made again"))
    assert [t.rows[:] for t in again.values()] == [t.rows[:] for t in first.values()]
    assert capsys.readouterr().err == "3 pictures are left out\n"
