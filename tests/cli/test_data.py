"""``ctran data``: where to get what, and numbers of a data set against what its miniature drew."""

import csv

import pytest

from ctran import registry
from ctran.cli.main import main
from ctran.data import description, sources
from ctran.images.transforms import open_image
from tests.data.miniatures import voc2007

FILES = ["contact_sheet.png", "cooccurrence.csv", "cooccurrence.png", "frequencies.png", "labels.csv"]
MARKS = {"positive": 1, "negative": -1, "unknown": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc")
    voc2007.make(folder)
    return folder


def show(root, output, *more):
    flags = ["--root", str(root), "--data.check_counts", "false", "--data.val", "4", "--output", str(output)]
    return main(["data", "show", "voc2007", *flags, *more])


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_published_source_states_its_origin_in_one_piece(capsys):
    assert main(["data"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for name in registry.names(sources):
        if origin := getattr(registry.find(sources, name), "ORIGIN", None):
            assert f"{name:<12}{origin.where or 'not public'}" in lines
            assert origin.size in lines and f"licence: {origin.licence}" in lines


def test_one_source_lists_its_files_and_its_options_and_no_others(capsys):
    assert main(["data", "voc2007"]) == 0
    out = capsys.readouterr().out
    assert all(line in out for line in registry.find(sources, "voc2007").ORIGIN.layout)
    assert "--data.difficult" in out and "--training.epochs" not in out


def test_labels_are_counted_as_they_were_drawn(root, tmp_path, unrendered):
    assert show(root, tmp_path / "out") == 0
    drawn, sets = voc2007.objects(), voc2007.sets()
    rows = read(tmp_path / "out" / "labels.csv")
    assert [row["label"] for row in rows] == voc2007.CLASSES
    for row in rows:
        for state, mark in MARKS.items():
            counts = {s: [voc2007.mark(drawn[p], row["label"]) for p in sets[s]].count(mark) for s in ("trainval", "test")}
            assert int(row[f"train {state}"]) + int(row[f"val {state}"]) == counts["trainval"]
            assert int(row[f"test {state}"]) == counts["test"]
        assert (row["group"], row["extra"]) == ("", "0")


def test_pairs_are_counted_in_the_split_that_was_asked_for(root, tmp_path, unrendered):
    assert show(root, tmp_path / "out", "--split", "test") == 0
    drawn, pictures = voc2007.objects(), voc2007.sets()["test"]
    table = {row.pop("label"): row for row in read(tmp_path / "out" / "cooccurrence.csv")}
    assert list(table) == voc2007.CLASSES
    for a in voc2007.CLASSES:
        for b in voc2007.CLASSES:
            both = sum(voc2007.mark(drawn[p], a) == voc2007.mark(drawn[p], b) == 1 for p in pictures)
            assert int(table[a][b]) == both


def test_of_many_labels_only_the_most_frequent_are_paired_and_that_is_printed(root, tmp_path, capsys, monkeypatch, unrendered):
    monkeypatch.setattr(description, "PAIRED", 3)
    assert show(root, tmp_path / "out") == 0
    rows = read(tmp_path / "out" / "labels.csv")
    often = sorted(rows, key=lambda row: -int(row["train positive"]))[:3]
    table = {row.pop("label"): row for row in read(tmp_path / "out" / "cooccurrence.csv")}
    assert set(table) == {row["label"] for row in often} and all(set(row) == set(table) for row in table.values())
    assert all(table[row["label"]][row["label"]] == row["train positive"] for row in often)
    assert "pairs are counted of the 3 labels that are positive most often, not of all 20" in capsys.readouterr().out


def test_the_files_that_are_promised_are_there(root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "show", "voc2007", "--root", str(root), "--data.check_counts", "false", "--data.val", "4"]) == 0
    assert sorted(p.name for p in (tmp_path / "voc2007-data").iterdir()) == FILES
    assert all(name in capsys.readouterr().out.splitlines()[-1] for name in FILES[:1])
    assert all(min(open_image(tmp_path / "voc2007-data" / name).size) > 300 for name in FILES if name.endswith(".png"))


def test_the_seed_draws_the_contact_sheet(root, tmp_path):
    sheets = []
    for seed in ("0", "1"):
        assert show(root, tmp_path / seed, "--seed", seed) == 0
        sheets.append((tmp_path / seed / "contact_sheet.png").read_bytes())
    assert sheets[0] != sheets[1]


def test_groups_and_extra_labels_of_a_recipe_are_shown(root, tmp_path, capsys, unrendered):
    groups = "{vehicles: {labels: [bicycle, bus, car]}, pets: {labels: [cat, dog]}}"
    assert show(root, tmp_path / "out", "--labels.groups", groups, "--labels.extra", "[pets, person]") == 0
    rows = {row["label"]: (row["group"], row["extra"]) for row in read(tmp_path / "out" / "labels.csv")}
    assert rows["cat"] == ("pets", "1") and rows["person"] == ("", "1") and rows["bus"] == ("vehicles", "0")
    out = capsys.readouterr().out
    assert "20 labels, 3 of them extra; 2 groups" in out and "2 of 2" in out and "0 of 3" in out


def test_counts_strong_pairs_and_labels_without_a_positive_are_printed(folder, tmp_path, capsys, unrendered):
    rows = (folder / "metadata.csv").read_text().replace("labels", "labels,negatives").replace('"\n', '",never\n')
    (folder / "metadata.csv").write_text(rows)
    flags = ["--root", str(folder), "--absent", "negative", "--output", str(tmp_path / "out")]
    assert main(["data", "show", "imagefolder", *flags]) == 0
    out = capsys.readouterr().out
    assert "1 labels are positive nowhere in train: never" in out
    pair = next(line for line in out.splitlines() if "red" in line and "warm" in line)  # warm wherever there is red
    cells = [cell.strip() for cell in pair.strip("│").split("│")]
    assert sorted(cells[:2]) == ["red", "warm"] and cells[3:5] == ["100", "100"]


def test_pictures_that_were_left_out_are_named(folder, tmp_path, capsys, unrendered):
    (folder / "03.png").write_text("no picture")
    flags = ["--root", str(folder), "--absent", "negative", "--skip-broken", "--output", str(tmp_path / "out")]
    assert main(["data", "show", "imagefolder", *flags]) == 0
    assert "03.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "expected 'ctran data show NAME --root DIR', got 'ctran data show'"),
        (["voc2007", "coco80"], "expected 'ctran data show NAME --root DIR'"),
        (["show", "voc207", "--root", "x"], "unknown source 'voc207'; did you mean 'voc2007'?"),
        (["voc2007", "--root", "x"], "--root belongs to 'ctran data show NAME --root DIR'"),
        (["--root", "x"], "--root belongs to 'ctran data show NAME --root DIR'"),
        (["show", "voc2007"], "data.root"),
        (["show", "voc2007", "--root", "/no/where"], "voc2007: /no/where"),
        (["show", "voc2007", "--root", "x", "--data.vall", "3"], "did you mean 'data.val'?"),
    ],
)
def test_errors_name_what_is_wrong(capsys, arguments, message):
    assert main(["data", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_whole_description_of_a_source_is_printed(capsys):
    assert main(["data", "imagefolder"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "optionally negatives (each a list, or a string with a delimiter), id, split" in out and "``" not in out
