"""A user's own files: what is read, and what is refused with file and row."""

import json

import pytest
from PIL import Image

from ctran import registry
from ctran.data import sources
from ctran.data.sources import csv, imagefolder, openclipart
from ctran.data.table import DataError
from ctran.labels import LabelState


def read(folder, **options):
    return imagefolder.build(imagefolder.Config(folder, **{"absent": "negative", **options}))


def test_a_wrong_source_names_the_nearest():
    with pytest.raises(ValueError, match="unknown source 'imagefold'; did you mean 'imagefolder'"):
        registry.find(sources, "imagefold")


def test_folder_is_split_once_and_for_all(folder):
    tables = read(folder)
    assert {k: len(t) for k, t in tables.items()} == {"train": 19, "val": 4, "test": 7}
    ids = [i for t in tables.values() for i in t.ids]
    assert sorted(ids) == sorted(f"{n:02}.png" for n in range(30))
    assert read(folder)["test"].ids == tables["test"].ids


def test_more_pictures_move_none_to_another_split(folder):
    before = read(folder)
    with (folder / "metadata.csv").open("a") as metadata:
        for number in range(30, 50):
            (folder / f"{number}.png").write_bytes((folder / "00.png").read_bytes())
            metadata.write(f"{number}.png,red\n")
    after = read(folder)
    assert all(set(before[split].ids) <= set(after[split].ids) for split in before)


def test_few_pictures_still_make_three_splits(folder):
    for size in range(3, 12):
        rows = "".join(f"{n:02}.png,red\n" for n in range(size))
        (folder / "metadata.csv").write_text("file_name,labels\n" + rows)
        assert sum(len(t) for t in read(folder).values()) == size


def test_absent_labels_are_negative_where_the_option_is_negative(folder):
    table = read(folder)["train"]
    truth = table.truth.dense()
    assert table.labels.names == ("blue", "green", "red", "warm")
    assert set(truth.unique().tolist()) == {LabelState.NEGATIVE, LabelState.POSITIVE}
    assert (truth[:, 2] == truth[:, 3]).all()  # warm is where red is


def test_positives_alone_with_absent_unknown_are_refused(folder):
    with pytest.raises(DataError, match=r"predicting every label would be perfect.*--absent negative"):
        read(folder, absent="unknown")["train"].check_learnable()


def test_absent_unknown_with_negatives_keeps_the_holes(folder):
    (folder / "metadata.csv").write_text(
        "file_name,labels,negatives,split\n00.png,red,blue,train\n01.png,blue,,val\n02.png,,red,test\n"
    )
    truth = read(folder, absent="unknown")["train"].truth.dense()
    assert truth.tolist() == [[LabelState.NEGATIVE, LabelState.POSITIVE]]


def test_jsonl_and_parquet_hold_lists(folder):
    rows = [{"file_name": f"{n:02}.png", "labels": ["a, b", "c"] if n % 2 else []} for n in range(9)]
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    by_lines = read(folder)
    assert by_lines["train"].labels.names == ("a, b", "c")
    (folder / "metadata.jsonl").unlink()
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    by_table = read(folder)
    assert by_table["train"].ids == by_lines["train"].ids
    assert (by_table["train"].truth.dense() == by_lines["train"].truth.dense()).all()


def test_split_folders_with_their_own_metadata(folder, tmp_path):
    root = tmp_path / "three"
    for split, n in (("train", 0), ("validation", 1), ("test", 2)):
        (root / split).mkdir(parents=True)
        (folder / f"{n:02}.png").rename(root / split / "x.png")
        (root / split / "metadata.csv").write_text("file_name,labels\nx.png,red|blue\n")
    tables = read(root, delimiter="|")
    assert [t.ids for t in tables.values()] == [["train/x.png"], ["validation/x.png"], ["test/x.png"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,label\n00.png,red\n", r"row 1: no column 'labels'; did you mean 'label'\?; found file_name, label"),
        ("file_name,lables\n00.png,red\n", r"row 1: no column 'labels'; did you mean 'lables'\?"),
        ("File Name,labels\n00.png,red\n", r"row 1: no column 'file_name'; did you mean 'File Name'\?"),
        ("filename,labels\n00.png,red\n", r"row 1: no column 'file_name'; did you mean 'filename'\?"),
        ("file_name,colour\n00.png,red\n", r"row 1: no column 'labels'; found file_name, colour"),
        ("file_name\n00.png\n", r"row 1: no column 'labels'; found file_name"),
        ("file_name,labels\n00.png,red\ngone.png,red\n01.png,blue\n", r"metadata.csv, row 2: .*gone.png: no such file"),
        ("file_name,labels\n00.png,\n01.png,\n02.png,\n", "no label in any row"),
        ("file_name,labels\n,red\n", "row 1: file_name is empty"),
        ("file_name,labels,negatives\n00.png,red,red\n", "row 1: 'red' is both positive and negative"),
        ("file_name,labels,split\n00.png,red,train\n01.png,red,tset\n", "row 2: split must be one of train, .* got 'tset'"),
        ("file_name,labels\n00.png,red\n01.png,red\n", "at least 3 pictures"),
        (
            "file_name,labels\n00.png,red,blue\n",
            "row 1: 3 cells, but the header has 2 columns: 00.png,red,blue.*in double quotes",
        ),
        ("file_name,labels\n00.png\n", "row 1: 1 cells, but the header has 2 columns"),
        (
            "file_name;labels\n00.png;red,blue\n",
            r"metadata.csv: the columns are separated by semicolons, expected commas.*sep=';'",
        ),
        ("file_name\tlabels\n00.png\tred\n", "metadata.csv: the columns are separated by tabs"),
        ("sep=;\nfile_name;labels\n00.png;red\n", "metadata.csv: the columns are separated by semicolons"),
        ('file_name,labels\n00.png,"red\n', "metadata.csv, line 2: not CSV .*is a quote not closed"),
        ("", "metadata.csv: the file is empty"),
        ("file_name,labels\n00.png,\"['red' 'blue']\"\n", "row 1: .* no comma between labels, as NumPy prints"),
        ("file_name,labels\n00.png,[red\n", r"row 1: '\[red' starts like a list"),
        ("file_name,labels,labels\n00.png,red,blue\n", "two columns are called 'labels'"),
        ("file_name,labels,\n00.png,red,1\n", "column 3 has no name"),
        ("file_name,labels\n", "metadata.csv: no row below the header"),
    ],
)
def test_errors_name_file_and_row(folder, text, message):
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read(folder)


def test_the_error_for_a_folder_without_metadata_names_the_files_it_searched_for(tmp_path):
    with pytest.raises(DataError, match=r"no metadata.csv, metadata.jsonl or metadata.parquet"):
        read(tmp_path)


def test_a_broken_picture_is_an_error_or_a_listed_row_never_a_silent_drop(folder):
    (folder / "07.png").write_bytes((folder / "07.png").read_bytes()[:100])
    with pytest.raises(DataError, match=r"row 8: .*07.png: .*leave such pictures out with --data.skip_broken"):
        read(folder)
    tables = read(folder, skip_broken=True)
    assert sum(map(len, tables.values())) == 29
    (only,) = [b for t in tables.values() for b in t.broken]
    assert only.row.endswith("row 8") and "07.png" in only.reason


def test_ids_must_be_distinct(folder):
    (folder / "metadata.csv").write_text("file_name,labels\n" + "00.png,red\n" * 9)
    with pytest.raises(DataError, match=r"row 2: '00.png' is listed twice, first in .*row 1"):
        read(folder)


def test_one_file_under_two_names_is_refused(folder):
    (folder / "metadata.csv").write_text("file_name,labels,id,split\n00.png,red,a,train\n./00.png,red,b,test\n")
    with pytest.raises(DataError, match=r"row 2: 'b' is listed twice"):
        read(folder)


@pytest.mark.parametrize("cell", ["\"['red', 'blue']\"", '"[""red"", ""blue""]"', '"red, blue"'])
def test_lists_of_labels_may_be_written_as_lists(folder, cell):
    rows = "".join(f"{n:02}.png,{cell}\n" for n in range(9))
    (folder / "metadata.csv").write_text("file_name,labels\n" + rows)
    assert read(folder)["train"].labels.names == ("blue", "red")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("5", "row 1: expected keys and values"),
        ('{"file_name": 5, "labels": []}', "row 1: file_name must be text, got 5"),
        ('{"file_name": "00.png", "labels": [], "split": ["a"]}', "split must be text"),
        ("{", "row 1: no JSON"),
        ('{"file_name": "00.png", "labels": ["red"], "labels": ["blue"]}', "row 1: no JSON .the key 'labels' is there twice"),
        ('{"file_name": "00.png", "labels": ' + "[" * 100_000 + "]" * 100_000 + "}", "row 1: JSON that is nested too deeply"),
        ('{"file_name": "a\\u0000b.png", "labels": ["red"]}', "row 1: file name .* holds a NUL character"),
        ('{"file_name": "\\ud800.png", "labels": ["red"]}', "row 1: file name .* is not text in UTF-8"),
        ('{"file_name": "00.png", "id": "\\udce9", "labels": ["red"]}', "row 1: id .* is not text in UTF-8"),
        ('{"file_name": "00.png", "labels": ["\\ud800"]}', "row 1: label .* which is not text"),
        ('{"file_name": "' + "a" * 300 + '", "labels": ["red"]}', "row 1: .*File name too long"),
    ],
)
def test_odd_json_lines_are_refused_by_row(folder, line, message):
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read(folder)


def test_pictures_may_be_named_by_absolute_paths(folder):
    rows = "".join(f"{folder}/{n:02}.png,red\n" for n in range(9))
    (folder / "metadata.csv").write_text("file_name,labels\n" + rows)
    assert sum(len(t) for t in read(folder).values()) == 9


@pytest.fixture
def wide(folder):
    lines = ["picture,red,blue"] + [f"{n:02}.png,{(1, 0, '')[n % 3]},{('0.0', -1, '1.0')[n % 3]}" for n in range(12)]
    (folder / "wide.csv").write_text("\n".join(lines))
    return csv.Config(folder / "wide.csv", image_column="picture")


def test_wide_csv_reads_one_zero_and_blank(wide):
    tables = csv.build(wide)
    for table in tables.values():
        for name, row in zip(table.ids, table.truth.dense().tolist(), strict=True):
            n = int(name[:2]) % 3  # label order is by name: blue, red
            assert row == [(LabelState.NEGATIVE, 0, LabelState.POSITIVE)[n], (LabelState.POSITIVE, LabelState.NEGATIVE, 0)[n]]


@pytest.mark.parametrize("absent", ["negative", "unknown"])
@pytest.mark.parametrize("uncertain", ["unknown", "positive", "negative"])
def test_minus_one_in_a_wide_csv_is_unknown_or_what_the_option_makes_of_it_and_a_blank_is_absent(
    wide, absent, uncertain, capsys
):
    config = csv.Config(wide.root, absent=absent, image_column="picture", uncertain=uncertain)
    meaning, blank = LabelState[uncertain.upper()], LabelState[absent.upper()]
    for table in csv.build(config).values():
        for name, row in zip(table.ids, table.truth.dense().tolist(), strict=True):
            n = int(name[:2]) % 3
            blue, red = (
                (LabelState.NEGATIVE, meaning, LabelState.POSITIVE)[n],
                (LabelState.POSITIVE, LabelState.NEGATIVE, blank)[n],
            )
            assert row == [blue, red]
    assert f"4 cells are -1 (uncertain) and count as {uncertain}" in capsys.readouterr().err


def test_a_wide_csv_of_booleans_with_other_columns_is_read(folder):
    lines = ["file_name,age,red,blue"] + [f"{n:02}.png,{20 + n},{n % 2 == 0},{('yes', 'No')[n % 2]}" for n in range(12)]
    (folder / "wide.csv").write_text("\n".join(lines))
    table = csv.build(csv.Config(folder / "wide.csv", ignore_columns=("age",)))["train"]
    assert table.labels.names == ("blue", "red")
    for name, row in zip(table.ids, table.truth.dense().tolist(), strict=True):
        assert row == [LabelState.NEGATIVE if int(name[:2]) % 2 else LabelState.POSITIVE] * 2


def test_a_missing_split_column_is_named_with_its_option(wide):
    with pytest.raises(DataError, match=r"no column 'fold' .*--data.split_column"):
        csv.build(csv.Config(wide.root, image_column="picture", split_column="fold"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("1", "maybe"), r"wide.csv, row 1, column 'red': expected 1, 0 or blank, got 'maybe'.*--data.ignore_columns"),
        (("picture", "pic"), r"no column 'picture'; did you mean 'pic'.*Name it with --data.image_column"),
    ],
)
def test_wide_csv_says_what_is_wrong(wide, change, message):
    text = wide.root.read_text()
    wide.root.write_text(text.replace("png,1,", f"png,{change[1]},") if change[0] == "1" else text.replace(*change))
    with pytest.raises(DataError, match=message):
        csv.build(wide)


def test_clip_art_is_as_its_datasheet_describes():
    tables = openclipart.build(openclipart.Config())
    sheet = json.loads((openclipart.CHECKOUT / "build.json").read_text())
    assert {k: len(t) for k, t in tables.items()} == {k: sheet["counts"][k] for k in tables}
    for split, table in tables.items():
        positives = (table.truth.dense() == LabelState.POSITIVE).sum(0).tolist()
        assert positives == [sheet["labels"][name][split] for name in table.labels.names]
        assert max(table.picture(0).size) <= 224
    ids = [i for t in tables.values() for i in t.ids]
    assert len(ids) == len(set(ids))
    counts = [sum(c.values()) for c in sheet["labels"].values()]
    assert min(counts) >= 20


def test_clip_art_outside_a_checkout_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"not part of the installed package.*--data.root"):
        openclipart.build(openclipart.Config(tmp_path))


def test_truth_in_another_label_space_has_holes_where_the_table_does_not_know(folder):
    from ctran.labels import LabelSpace

    table = read(folder)["train"]
    other = table.truth_for(LabelSpace(("warm", "cold", "red"))).dense()
    assert (other[:, 1] == LabelState.UNKNOWN).all()
    assert (other[:, 0] == table.truth.dense()[:, 3]).all() and (other[:, 2] == table.truth.dense()[:, 2]).all()


def test_exclusive_groups_hold_in_another_label_space_too(folder):
    from ctran.labels import Group, LabelSpace

    rows = "".join(f"{n:02}.png,{('red', 'blue')[n % 2]}\n" for n in range(9))
    (folder / "metadata.csv").write_text("file_name,labels\n" + rows)
    table = read(folder)["train"]
    colours = LabelSpace(("gold", "blue", "red"), groups=(Group("colour", ("gold", "blue", "red"), exclusive=True),))
    truth = table.truth_for(colours).dense()
    assert (truth[:, 0] == LabelState.NEGATIVE).all()  # gold is not in the table, but another colour is
    (folder / "metadata.csv").write_text("file_name,labels\n" + rows.replace("red", '"red,blue"'))
    with pytest.raises(DataError, match="has 2 labels of group 'colour'"):
        read(folder)["train"].truth_for(colours)


def test_fingerprint_changes_with_the_pictures(folder):
    before = read(folder)["test"].fingerprint
    assert read(folder)["test"].fingerprint == before
    name = read(folder)["test"].ids[0]
    Image.new("RGB", (9, 9)).save(folder / name)
    assert read(folder)["test"].fingerprint != before
