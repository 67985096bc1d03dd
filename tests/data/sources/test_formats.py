"""What every format of users' own files must do, both ways. A new file in ``data/sources`` with ``read`` is found by itself."""

import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from ctran.cli.main import main
from ctran.data import conversion
from ctran.data.output import Output
from ctran.data.rows import Annotated, Row, Says
from ctran.data.splits import SPLIT_NAMES
from ctran.errors import UserError
from tests.data.miniatures import miniature

FORMATS = conversion.formats()
WRITABLE = conversion.writable()
ODD = [
    *("a,b", "a|b", "a;b", "a/b", "a b", 'say "x"', "it's", "[x]", "{x}", "<x>", "&amp;", "yes", "no", "1", "0", "12", "-1"),
    *(
        "null",
        "NaN",
        "None",
        "true",
        "café",
        "cafe\u0301",
        "日本語",
        "👩‍👩‍👧",
        "= 1 + 1",
        "#tag",
        "a\\b",
        "file_name",
        "split",
        "labels",
    ),
    *("filename", "labels", "image", "x.y", "a=b", "%41", "'q'", "(x)", "a:b", "ſ", "İ"),
]
"""Label names that one notation or another takes for something else."""
NAMES = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).map(str.strip)
REFUSED = {"roboflow": {"filename"}}
"""Names that a format cannot have, beside control characters."""
STATES = st.sampled_from([True, False, None])
few_examples = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Five different pictures, under names that are odd themselves."""
    folder = tmp_path_factory.mktemp("pool")
    (folder / "sub folder").mkdir()
    for number, name in enumerate(["a.png", "b, c.png", "sub folder/été #1.png", "x.y.png", "it's 100%.png"]):
        Image.effect_noise((24, 16), 40 + number).convert("RGB").save(folder / name)
    return folder


@st.composite
def tables(draw):
    """Label names, and of each of a few pictures the state of each: present, absent, None for unknown."""
    names = draw(st.lists(NAMES.filter(lambda n: n.strip() and "\0" not in n), min_size=1, max_size=4, unique=True))
    size = draw(st.integers(1, 5))
    return names, [dict(zip(names, draw(st.tuples(*[STATES] * len(names))), strict=True)) for _ in range(size)]


def annotated(pool, table, says):
    """The table as an annotation that a format can say; half of them by what an unlisted label is."""
    names, states = table
    if says is Says.LISTED and any(False in known.values() for known in states):
        states = [{name: bool(value) for name, value in known.items()} for known in states]
    if says is Says.DECIDED:
        states = [{name: bool(value) for name, value in known.items()} for known in states]
    paths = sorted(path for path in pool.rglob("*.png"))
    listed = {value: [tuple(n for n in names if known[n] is value) for known in states] for value in (True, False, None)}
    complete = not any(listed[None]) or len(names) % 2 == 0
    rows = [
        Row(
            f"row {i}",
            path,
            path.relative_to(pool).as_posix(),
            listed[True][i],
            () if complete else listed[False][i],
            unknown=listed[None][i] if complete else (),
        )
        for i, path in enumerate(paths[: len(states)])
    ]
    return Annotated(rows, "negative" if complete else "unknown", tuple(names))


@contextmanager
def written(name, found):
    """The annotation in a format: the folder, and the options that read it."""
    with tempfile.TemporaryDirectory() as folder:
        module = FORMATS[name]
        options = module.write(found, Output(Path(folder)))
        yield Path(folder), {k: Path(folder) / v if isinstance(v, Path) else v for k, v in options.items()}


def read(name, options):
    module = FORMATS[name]
    return conversion.read(module, module.Config(**options))


def by_content(found, only=None):
    """Picture -> label -> present; a label that is unknown is not in it."""
    return {
        row.path.read_bytes(): {n: value for n, value in known.items() if only is None or n in only}
        for row, known in found.known()
    }


@pytest.mark.parametrize("name", WRITABLE)
@few_examples
@given(tables())
@example((ODD[:20], [dict.fromkeys(ODD[:20], True), dict.fromkeys(ODD[:20], False)]))
@example((ODD[20:], [dict.fromkeys(ODD[20:], True), dict.fromkeys(ODD[20:], None)]))
def test_a_round_trip_keeps_every_state_or_names_the_label_that_cannot_be_written(name, pool, capsys, table):
    original = annotated(pool, table, FORMATS[name].SAYS)
    try:
        with written(name, original) as (_, options):
            again = read(name, options)
            assert by_content(again) == by_content(original, again.labels)
    except UserError as error:
        assert "label" in str(error) and set(table[0]) - set(ODD) | REFUSED.get(name, set()), error
        return
    lost = set(original.labels) - set(again.labels)
    assert set(again.labels) <= set(original.labels) and not lost & original.present
    assert bool(lost) == ("these, which are not in it" in capsys.readouterr().err)


@pytest.mark.parametrize("name", WRITABLE)
def test_odd_names_are_written_and_read(name, pool):
    names = [n for n in ODD if n not in REFUSED.get(name, ())]
    states = [{n: (i + k) % 2 == 0 for k, n in enumerate(names)} for i in range(2)]
    original = annotated(pool, (names, states), FORMATS[name].SAYS)
    with written(name, original) as (_, options):
        assert by_content(read(name, options)) == by_content(original)


@pytest.mark.parametrize("name", WRITABLE)
def test_splits_and_pictures_are_kept(name, pool):
    found = annotated(pool, (["a", "b"], [{"a": i % 2 == 0, "b": i % 2 == 1} for i in range(5)]), FORMATS[name].SAYS)
    splits = ["train", "val", "test", "train", "test"]
    rows = [Row(r.where, r.path, r.id, r.positives, r.negatives, s) for r, s in zip(found.rows, splits, strict=True)]
    with written(name, Annotated(rows, found.absent, found.names)) as (_, options):
        again = read(name, options)
        kept = {row.path.read_bytes(): row.split and SPLIT_NAMES[row.split] for row in again.rows}
    expected = dict(zip((row.path.read_bytes() for row in rows), splits, strict=True))
    assert kept == (expected if getattr(FORMATS[name], "SPLITS", True) else dict.fromkeys(expected))


@pytest.mark.parametrize("name", [n for n in WRITABLE if FORMATS[n].SAYS is not Says.ALL])
def test_what_a_format_cannot_say_is_refused_and_never_becomes_absent(name, pool, capsys):
    mixed = annotated(
        pool, (["a", "b", "c"], [{"a": True, "b": False, "c": None}, {"a": None, "b": True, "c": True}]), Says.ALL
    )
    with pytest.raises(UserError, match="unknown"), written(name, mixed):
        pass
    if FORMATS[name].SAYS is Says.LISTED:
        with written(name, mixed.without_negatives()) as (_, options):
            again = read(name, options)
        assert {v for known in by_content_of_rows(again) for v in known.values()} == {True}


def by_content_of_rows(found):
    return [known for _, known in found.known()]


@pytest.mark.parametrize("name", WRITABLE)
def test_a_missing_picture_is_named_with_its_record_and_left_out_on_request(name, pool, capsys):
    found = annotated(pool, (["a", "b"], [{"a": i % 2 == 0, "b": i % 2 == 1} for i in range(3)]), FORMATS[name].SAYS)
    if not getattr(FORMATS[name], "PICTURES_APART", True):
        pytest.skip("its pictures are in the file itself")
    with written(name, found) as (_, options):
        gone = read(name, options).rows[1].path
        gone.unlink()
        with pytest.raises(UserError, match=r"no such file|no file for|no picture") as error:
            read(name, options)
        assert gone.stem in unquote(str(error.value))
        assert len(read(name, options | {"skip_broken": True}).rows) == 2


@pytest.fixture(scope="module")
def originals(tmp_path_factory, pool):
    """Name -> a folder in each format, and options relative to it."""
    made = {}
    for name in FORMATS:
        root = tmp_path_factory.mktemp(name)
        made[name] = root, miniature(name, root)[1]
    return made


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1), much=st.integers(0, 6), other=st.binary(max_size=5), pick=st.integers(0, 5), more=st.booleans())
def test_changed_bytes_are_read_or_refused_and_never_a_traceback(name, originals, where, much, other, pick, more):
    root, options = originals[name]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(root, copy, copy_function=shutil.copyfile)
        files = [p for p in sorted(copy.rglob("*")) if p.is_file() and p.suffix not in (".png", ".jpg")] or sorted(
            copy.glob("*.*")
        )
        path = files[pick % len(files)]
        content = path.read_bytes()
        at = int(where * len(content))
        path.write_bytes(content[:at] + other + (content[at + much :] if more else b""))
        try:
            read(name, {k: copy / v.relative_to(root) if isinstance(v, Path) else v for k, v in options.items()})
        except UserError as error:
            assert str(error)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_states_what_it_can_say(name):
    assert isinstance(FORMATS[name].SAYS, Says)


def test_the_command_converts_and_prints_how_the_result_is_read(tmp_path, capsys):
    options = miniature("imagefolder", tmp_path / "in")[1]
    assert options["absent"] == "unknown"
    assert (
        main(["data", "convert", str(tmp_path / "in"), str(tmp_path / "out"), "--to", "csv", "--absent", "unknown", "--link"])
        == 0
    )
    out = capsys.readouterr().out
    assert "10 pictures, 3 labels, format csv" in out
    assert f"ctran train --source csv --root {tmp_path}/out/labels.csv --data.image_column file_name" in out
    assert (tmp_path / "out/images/00.png").samefile(tmp_path / "in/00.png")
    there = [
        "data",
        "convert",
        str(tmp_path / "out/labels.csv"),
        str(tmp_path / "back"),
        "--source",
        "csv",
        "--to",
        "imagefolder",
    ]
    assert main([*there, "--data.split_column", "split"]) == 0  # all is known, so it lists what is present
    first = read("imagefolder", {"root": tmp_path / "in", "absent": "unknown"})
    again = read("imagefolder", {"root": tmp_path / "back", "absent": "negative"})
    assert by_content(again) == by_content(first) and [r.split for r in again.rows] == [r.split for r in first.rows]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convert", "in"], "expected 'ctran data convert IN OUT --to FORMAT', got 'ctran data convert in'"),
        (["convert", "in", "out", "--absent", "negative"], "name the format to write with --to: .*csv.*imagefolder"),
        (["convert", "in", "out", "--to", "cvs"], "unknown source 'cvs'; did you mean 'csv'"),
        (["convert", "in", "out", "--to", "voc2007"], "voc2007 is a data set, not a format of users' own files"),
        (["convert", "in", "out", "--to", "csv", "--source", "coco80"], "coco80 is a data set, not a format"),
        (["convert", "in", "full", "--to", "csv", "--absent", "negative"], "full is not empty; name a new folder"),
        (["show", "csv", "--to", "csv"], "--to belongs to 'ctran data convert IN OUT --to FORMAT'"),
        (["csv", "--positives-only"], "--positives-only belongs to 'ctran data convert"),
    ],
)
def test_wrong_use_of_the_command_says_what_is_expected(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    miniature("imagefolder", tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    assert main(["data", *words]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_file_of_splits_takes_the_place_of_those_of_the_rows(tmp_path):
    options = {"root": tmp_path / "in"} | miniature("imagefolder", tmp_path / "in")[1]
    ids = [row.id for row in read("imagefolder", options).rows]
    lines = [f"{name},{('val', 'test', 'train')[n % 3]}" for n, name in enumerate(ids)]
    (tmp_path / "splits.csv").write_text("\n".join(["id,split", *lines]))
    again = read("imagefolder", options | {"splits": tmp_path / "splits.csv"})
    assert [row.split for row in again.rows] == [("val", "test", "train")[n % 3] for n in range(10)]
    module = FORMATS["imagefolder"]
    tables = module.build(module.Config(**options, splits=tmp_path / "splits.csv"))
    assert tables["val"].ids == ids[::3]
    (tmp_path / "splits.csv").write_text(f"id,split\n{ids[0]},val\n")
    with pytest.raises(UserError, match=r"splits.csv: no split for '01.png'.*give every picture a row"):
        read("imagefolder", options | {"splits": tmp_path / "splits.csv"})
    (tmp_path / "splits.csv").write_text(f"id,split\n{ids[0]},val\n{ids[0]},test\n")
    with pytest.raises(UserError, match=r"splits.csv, row 2: id '00.png' is there twice"):
        read("imagefolder", options | {"splits": tmp_path / "splits.csv"})
