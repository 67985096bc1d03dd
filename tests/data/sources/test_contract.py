"""What every source must do, tried on its miniature. A new source is found by itself and fails here until it has one."""

import dataclasses
import io
import os
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch
from docstring_parser import parse
from PIL import Image

from ctran import registry
from ctran.cli.main import main
from ctran.data import sources
from ctran.data.reading import Reading, apply
from ctran.data.table import DataError
from ctran.images.reading import BrokenImageError
from ctran.labels import LabelState
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_recipe
from tests.data import miniatures
from tests.data.miniatures import flags, miniature

NAMES = registry.names(sources)
SOURCES = {name: registry.find(sources, name) for name in NAMES}
WITH_FILES = [name for name in NAMES if issubclass(SOURCES[name].Config, Reading)]
"""The others draw their pictures themselves."""
PUBLISHED = [name for name in NAMES if hasattr(SOURCES[name], "ORIGIN")]
COUNTED = [name for name in PUBLISHED if SOURCES[name].COUNTS]
QUICK = ("csv", "openclipart")
"""Sources whose plots are drawn quickly."""
MADE = [name for name in NAMES if name in registry.names(miniatures)]

NOISE = io.BytesIO()
Image.effect_noise((48, 48), 90).convert("RGB").save(NOISE, "JPEG")
TRUNCATED = NOISE.getvalue()[: len(NOISE.getvalue()) // 2]


def of(name):
    """The miniature's module."""
    return import_module(f"tests.data.miniatures.{name}")


def read(name, options):
    config = SOURCES[name].Config(**options)
    return apply(SOURCES[name].build(config), config)


def truths(tables):
    return {split: table.truth.dense().tolist() for split, table in tables.items()}


def ids(tables):
    return [i for table in tables.values() for i in table.ids]


def moved(options, here, there):
    """Options of a miniature that lies elsewhere."""
    return {k: there / v.relative_to(here) if isinstance(v, Path) else v for k, v in options.items()}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Name -> folder and options, each miniature made once; nobody changes these."""
    made = {}

    def original(name):
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            made[name] = root, miniature(name, root)[1]
        return made[name]

    return original


@pytest.fixture
def copy(originals, tmp_path):
    """A copy that a test may spoil: name -> folder and options."""

    def copied(name):
        root, options = originals(name)
        shutil.copytree(root, tmp_path / "copy")
        return tmp_path / "copy", moved(options, root, tmp_path / "copy")

    return copied


@pytest.mark.parametrize("name", NAMES)
def test_a_source_has_a_miniature_a_summary_and_documented_options(name):
    assert name in MADE, f"write tests/data/miniatures/{name}.py; tests/data/miniatures/__init__.py says what it holds"
    source = SOURCES[name]
    assert source.SUMMARY and "\n" not in source.SUMMARY
    documented = {p.arg_name for c in source.Config.__mro__ for p in parse(c.__doc__ or "").params if p.description}
    assert {field.name for field in dataclasses.fields(source.Config)} <= documented


@pytest.mark.parametrize("name", MADE)
def test_three_splits_over_one_label_space_have_distinct_ids_and_both_states(name, originals):
    tables = read(name, originals(name)[1])
    assert list(tables) == ["train", "val", "test"]
    assert len({table.labels for table in tables.values()}) == 1
    assert len(set(ids(tables))) == len(ids(tables))
    for table in tables.values():
        assert table.picture(0).size[0] > 1
        assert {LabelState.NEGATIVE, LabelState.POSITIVE} <= set(table.truth.dense().unique().tolist())
    tables["train"].check_learnable()


@pytest.mark.parametrize("name", MADE)
def test_a_second_reading_is_the_same_also_where_the_folder_moved(name, originals, copy):
    first = read(name, originals(name)[1])
    for again in (read(name, originals(name)[1]), read(name, copy(name)[1])):
        assert truths(again) == truths(first) and again["train"].labels == first["train"].labels
        for split, table in first.items():
            assert again[split].ids == table.ids and again[split].absent == table.absent
            assert torch.equal(again[split].pixels(0), table.pixels(0))


@pytest.mark.parametrize(("name", "file"), [(name, file) for name in MADE for file in of(name).MISSING])
def test_what_is_missing_is_named_with_where_it_comes_from(name, file, originals):
    root, options = originals(name)
    (root / file).rename(root / "elsewhere")
    try:
        with pytest.raises(DataError) as error:
            read(name, options)
    finally:
        (root / "elsewhere").rename(root / file)
    assert Path(file).name in str(error.value)
    if name in PUBLISHED:
        assert str(root / file) in str(error.value) and str(SOURCES[name].ORIGIN) in str(error.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_set_states_its_licence_and_what_its_archives_unpack_to(name):
    text = str(SOURCES[name].ORIGIN)
    assert "licence" in text and "expected below --root" in text and SOURCES[name].ORIGIN.layout
    assert ("get it from" in text) != ("not public" in text)


@pytest.mark.parametrize("name", MADE)
def test_an_empty_folder_is_refused_with_its_path(name, originals, tmp_path):
    root, options = originals(name)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=re.escape(str(empty))):
        read(name, moved(options, root, empty))


@pytest.mark.parametrize("name", MADE)
def test_a_broken_record_is_refused_with_file_and_place(name, copy):
    root, options = copy(name)
    read(name, options)  # so that a published set is in the cache
    pattern = of(name).break_record(root)
    with pytest.raises(DataError, match=f"(?s){pattern}"):
        read(name, options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_tables_come_from_the_cache_while_files_have_the_same_size_and_time(name, copy):
    root, options = copy(name)
    first = truths(read(name, options))
    before = {path: path.stat() for path in root.rglob("*")}
    for path, stat in before.items():
        if path.is_file() and path.suffix in (".txt", ".json", ".csv", ".p", ".npy") and "nltk_data" not in path.parts:
            path.write_bytes(bytes(stat.st_size))
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    if name != "news500":  # which reads its lists of pictures at each start
        assert truths(read(name, options)) == first


@pytest.mark.parametrize("name", COUNTED)
def test_counts_that_differ_are_named_and_may_be_waived(name, originals, capsys):
    options = originals(name)[1]
    with pytest.raises(DataError, match=rf"{name}: .*expected \d.*, found \d.*--data.check_counts false"):
        read(name, {**options, "check_counts": True})
    assert read(name, options) and f"warning: {name}: " in capsys.readouterr().err


@pytest.mark.parametrize("name", [n for n in PUBLISHED if n != "openimages"])  # of which few have all pictures
def test_a_missing_picture_is_named(name, copy):
    _, options = copy(name)
    gone = Path(read(name, options)["train"].rows[0]["image"]["path"])
    gone.unlink()
    with pytest.raises(DataError, match=rf"{name}: 1 of \d+ pictures are .*first: {re.escape(gone.name)}"):
        read(name, options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_test_set_may_choose_the_epoch_as_the_authors_did(name, originals):
    options = originals(name)[1]
    tables, theirs = read(name, options), read(name, {**options, "select_on": "test"})
    assert theirs["val"].ids == theirs["test"].ids == tables["test"].ids
    if tables["val"].ids[0] in theirs["train"].ids:
        assert set(theirs["train"].ids) == set(tables["train"].ids) | set(tables["val"].ids)
    else:  # a published validation split
        assert len(theirs["train"]) == len(tables["train"])


@pytest.fixture
def broken(copy):
    """Name -> options, and ids of two training pictures whose files are spoilt: the first ends early, the second is text."""

    def spoilt(name):
        root, options = copy(name)
        table = read(name, options)["train"]
        if hasattr(of(name), "break_pictures"):
            of(name).break_pictures(root, [TRUNCATED, b"no picture"])
        else:
            for number, content in enumerate((TRUNCATED, b"no picture")):
                Path(table.rows[number]["image"]["path"]).write_bytes(content)
        return options, table.ids[:2]

    return spoilt


def pixels(tables):
    """Decode everything."""
    return {table.ids[i]: table.pixels(i) for table in tables.values() for i in range(len(table))}


@pytest.mark.parametrize("name", WITH_FILES)
def test_broken_pictures_are_errors_by_default_and_left_out_or_read_on_request(name, broken, capsys):
    options, spoilt = broken(name)
    with pytest.raises((DataError, BrokenImageError), match=r"--data.skip_broken true.*--data.truncated read"):
        pixels(read(name, options))
    capsys.readouterr()
    less = read(name, {**options, "skip_broken": True})
    assert not set(spoilt) & set(pixels(less)) and len(set(ids(less))) == len(ids(less))
    left_out = [b for table in less.values() for b in table.broken]
    assert len(left_out) == 2 and all(b.row and b.reason for b in left_out)
    with pytest.raises((DataError, BrokenImageError), match="not a picture"):
        pixels(read(name, {**options, "truncated": "read"}))
    both = pixels(read(name, {**options, "truncated": "read", "skip_broken": True}))
    assert set(both) == {*ids(less), spoilt[0]} and both[spoilt[0]].float().std() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_lists_its_options(name, capsys):
    assert main(["data", name]) == 0
    out = capsys.readouterr().out
    assert SOURCES[name].SUMMARY in out
    assert all(f"--data.{field.name}" in out for field in dataclasses.fields(SOURCES[name].Config))


@pytest.mark.parametrize("name", MADE)
def test_flags_give_the_tables_that_options_give(name, originals):
    options = originals(name)[1]
    by_flags = build_tables(read_recipe(None, ["--source", name, *flags(options)]))
    assert truths(by_flags) == truths(read(name, options))


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in MADE])
def test_the_command_line_shows_its_pictures(name, originals, tmp_path, capsys):
    options = originals(name)[1]
    assert main(["data", "show", name, *flags(options), "--output", str(tmp_path / "out")]) == 0
    sizes = {split: len(table) for split, table in read(name, options).items()}
    out = capsys.readouterr().out
    assert all(re.search(rf"{split}\W+{size}\W", out) for split, size in sizes.items())
    assert len((tmp_path / "out" / "labels.csv").read_text().splitlines()) >= 3
