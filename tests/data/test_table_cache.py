"""Tables on disk: made once for the same options and files, with the notices of the first reading."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ctran.data import file_table, held_out, notices, table_cache
from ctran.labels import LabelSpace


@dataclass(frozen=True)
class Options:
    root: Path
    size: int = 3


def test_notices_of_reading_are_printed_again_from_the_cache(tmp_path, capsys):
    labels = LabelSpace(("x",))

    def make():
        notices.notice("3 pictures are left out")
        table = file_table.make_table([tmp_path / "a", tmp_path / "b"], ["a", "b"], [[0], []], labels)
        return held_out.with_selection(table, table, select_on="val", val=1)

    for _ in range(2):
        table_cache.cached("toy", Options(tmp_path), [tmp_path], make)
        assert capsys.readouterr().err == "3 pictures are left out\n"


def test_the_cache_knows_options_files_and_its_format(tmp_path, monkeypatch):
    made = []
    (tmp_path / "labels.csv").write_text("a")

    def build(config):
        def make():
            made.append(config.size)
            ids = [str(i) for i in range(config.size)]
            labels = LabelSpace(("x", "y"))
            table = file_table.make_table([config.root / i for i in ids], ids, [[0]] * config.size, labels)
            return held_out.with_selection(table, table, select_on="test", val=1)

        return table_cache.cached("toy", config, [tmp_path / "labels.csv"], make)

    first, second = build(Options(tmp_path)), build(Options(tmp_path))
    assert made == [3] and second["val"] is second["test"]
    assert [t.truth.dense().tolist() for t in first.values()] == [t.truth.dense().tolist() for t in second.values()]
    build(Options(tmp_path, size=4))
    (tmp_path / "labels.csv").write_text("changed")
    build(Options(tmp_path))
    assert made == [3, 4, 3]
    monkeypatch.setattr(table_cache, "FORMAT", table_cache.FORMAT + 1)
    build(Options(tmp_path))
    assert made == [3, 4, 3, 3]


def test_tables_are_found_by_other_options_that_give_the_same_with_the_notices(tmp_path, capsys):
    def make():
        notices.notice("3 pictures are left out")
        table = file_table.make_table([tmp_path / "a", tmp_path / "b"], ["a", "b"], [[0], []], LabelSpace(("x",)))
        return held_out.with_selection(table, table, select_on="val", val=1)

    def others(tables):
        return Options(tmp_path, len(tables["train"])), []

    first = table_cache.cached("toy", Options(tmp_path), [tmp_path], make, same=others)
    capsys.readouterr()
    again = table_cache.cached("toy", Options(tmp_path, 1), [], lambda: pytest.fail("made again"))
    assert [t.rows[:] for t in again.values()] == [t.rows[:] for t in first.values()]
    assert capsys.readouterr().err == "3 pictures are left out\n"


@pytest.mark.parametrize("damage", ["cut", "swapped", "text"])
def test_damaged_tables_are_built_again_with_a_notice(tmp_path, capsys, monkeypatch, damage):
    monkeypatch.setenv("CTRAN_CACHE", str(tmp_path / "cache"))

    def make():
        table = file_table.make_table([tmp_path / "a", tmp_path / "b"], ["a", "b"], [[0], []], LabelSpace(("x",)))
        return held_out.with_selection(table, table, select_on="val", val=1)

    (tmp_path / "labels").touch()
    first = table_cache.cached("toy", Options(tmp_path), [tmp_path / "labels"], make)
    (path,) = (tmp_path / "cache").rglob("train.parquet")
    good = path.read_bytes()
    path.write_bytes({"cut": good[:-50], "swapped": path.with_name("labels.json").read_bytes(), "text": b"PAR1"}[damage])
    again = table_cache.cached("toy", Options(tmp_path), [tmp_path / "labels"], make)
    assert [t.rows[:] for t in again.values()] == [t.rows[:] for t in first.values()]
    assert f"{path.parent}: damaged tables" in capsys.readouterr().err and path.read_bytes() == good
    table_cache.cached("toy", Options(tmp_path), [tmp_path / "labels"], lambda: pytest.fail("made again"))
    assert capsys.readouterr().err == ""
