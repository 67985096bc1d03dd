"""Pictures of a user's own folder: splits by content, files by other names, what is left out, and what is remembered."""

import json
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from ctran.data import checked
from ctran.data.sources import csv, imagefolder
from ctran.data.table import DataError
from ctran.images import left_out as folders
from ctran.images.left_out import HELP, left_out
from ctran.images.reading import picture_files
from tests.conftest import draw


def read(folder, **options):
    return imagefolder.build(imagefolder.Config(folder, **{"absent": "negative", **options}))


def write(folder, rows, columns="file_name,labels"):
    (folder / "metadata.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")


def splits(tables):
    return {name: split for split, table in tables.items() for name in table.ids}


def test_a_picture_stays_in_its_split_under_another_name_and_in_another_folder(folder):
    before = splits(read(folder))
    (folder / "below").mkdir()
    rows = (folder / "metadata.csv").read_text()
    for name in before:
        (folder / name).rename(folder / "below" / f"x-{name}")
        rows = rows.replace(name, f"below/x-{name}")
    (folder / "metadata.csv").write_text(rows)
    assert splits(read(folder)) == {f"below/x-{name}": split for name, split in before.items()}


def test_pictures_of_the_same_content_are_on_one_side_also_where_there_are_few(folder, capsys):
    for size in (9, 30):
        rows = [f"{n:02}.png,{('red', 'blue')[n % 2]}" for n in range(size)]
        for n in range(0, size, 2):
            (folder / f"copy{n}.png").write_bytes((folder / f"{n:02}.png").read_bytes())
            rows.append(f"copy{n}.png,red")
        write(folder, rows)
        found = splits(read(folder))
        assert all(found[f"copy{n}.png"] == found[f"{n:02}.png"] for n in range(0, size, 2))
        err = capsys.readouterr().err
        assert f"warning: {(size + 1) // 2} pictures have the same content as another" in err and "'copy0.png'" in err
        assert "other labels" not in err and "two splits" not in err


def test_the_same_content_with_other_labels_or_in_two_splits_is_counted_and_named(folder, capsys):
    (folder / "again.png").write_bytes((folder / "00.png").read_bytes())
    rows = [f"{n:02}.png,red,{('train', 'val', 'test')[n % 3]}" for n in range(9)] + ["again.png,blue,test"]
    write(folder, rows, "file_name,labels,split")
    read(folder)
    err = capsys.readouterr().err
    assert "1 of them have other labels than the first of that content (first: '00.png' and 'again.png')" in err
    assert "1 of them are in two splits (first: '00.png' in train, 'again.png' in test)" in err


def test_fewer_than_three_different_pictures_are_refused(folder):
    for n in range(1, 9):
        (folder / f"{n:02}.png").write_bytes((folder / f"{n % 2:02}.png").read_bytes())
    write(folder, [f"{n:02}.png,red" for n in range(9)])
    with pytest.raises(
        DataError, match=r"at least 3 pictures .*, got 2 different ones \(9 files, some with the same content\)"
    ):
        read(folder)


@pytest.mark.parametrize(("on_disk", "in_row"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_file_is_found_under_another_unicode_form_of_its_name(folder, on_disk, in_row, capsys):
    name = "café/größe.png"
    target = folder / unicodedata.normalize(on_disk, name)
    target.parent.mkdir()
    (folder / "00.png").rename(target)
    write(folder, [f"{unicodedata.normalize(in_row, name)},red", *(f"{n:02}.png,blue" for n in range(1, 9))])
    tables = read(folder)
    assert sum(map(len, tables.values())) == 9
    assert "1 file names are written in another Unicode form" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "there"), [("00.PNG", "00.png"), ("00.png ", "00.png"), ("00", "00.png"), ("sub\\x.png", "sub/x.png")]
)
def test_a_missing_file_is_named_with_the_one_that_may_be_meant(folder, row, there):
    (folder / "sub").mkdir()
    draw(folder / "sub/x.png", ["red"])
    write(folder, [f'"{row}",red', *(f"{n:02}.png,blue" for n in range(1, 9))])
    with pytest.raises(DataError, match=rf"row 1 \(there is '{there}'\): .*no such file"):
        read(folder)


def test_labels_and_files_that_look_alike_are_warned_of_with_both_names(folder, capsys):
    draw(folder / "A.png", ["red"], note="A")
    draw(folder / "a.png", ["red"], note="a")
    write(
        folder,
        [*(f"{n:02}.png,{('cat', 'Cat', 'café', 'cafe' + chr(0x301))[n % 4]}" for n in range(12)), "A.png,cat", "a.png,cat"],
    )
    assert len(read(folder)["train"].labels) == 4
    err = capsys.readouterr().err
    assert "labels 'Cat' and 'cat' (3 and 5 rows) differ only by case" in err
    assert r"labels 'cafe\u0301' and 'caf\xe9' (3 and 3 rows)" in err
    assert "1 file names differ from another only by case, blanks or Unicode form (first: 'A.png' and 'a.png')" in err


def test_pictures_that_no_row_names_are_counted_in_a_folder_and_beside_a_csv(folder, capsys):
    write(folder, [f"{n:02}.png,{('red', 'blue')[n % 2]}" for n in range(20)])
    (folder / "deep").mkdir()
    draw(folder / "deep/x.png", ["red"])
    read(folder)
    assert "warning: 11 pictures are named by no row and not used (first: " in capsys.readouterr().err
    (folder / "wide.csv").write_text("file_name,red\n" + "".join(f"{n:02}.png,{n % 2}\n" for n in range(20)))
    csv.build(csv.Config(folder / "wide.csv"))
    (folder / "photo.jxl").write_bytes(b"\xff\x0a")
    csv.build(csv.Config(folder / "wide.csv"))
    err = capsys.readouterr().err
    assert "warning: 10 pictures are named by no row" in err and "1 left out (JPEG XL; first: photo.jxl)" in err


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
OTHERS = {
    "photo.heic": ("HEIC", HEIC),
    "renamed.jpg.bak": ("HEIC", HEIC),
    "new.jxl": ("JPEG XL", b"\xff\x0a"),
    "IMG_1.CR2": ("camera raw", b"II*\0"),
    "logo.svg": ("drawing or document", b"<svg>"),
    "scan": ("picture without an ending", b"\xff\xd8\xff\xe0"),
    "x.jpg_large": ("picture under another ending", b"\x89PNG\r\n\x1a\n"),
    "notes.txt": (None, b"hello"),
    "clip.mp4": (None, b"\0\0\0\x18ftypisom"),
    "empty": (None, b""),
    ".hidden": (None, HEIC),
}


def test_what_is_left_out_is_counted_by_kind_with_what_helps(folder, tmp_path, capsys, monkeypatch):
    for name, (_, content) in OTHERS.items():
        (folder / name).write_bytes(content)
    (tmp_path / "elsewhere").mkdir()
    (folder / "album").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.png").symlink_to(tmp_path / "nothing.png")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(b"x")
    monkeypatch.setattr(folders, "endings", lambda: frozenset({".png"}))  # as if no library for HEIC were installed
    found = left_out(folder, [path for path in picture_files(folder) if path.suffix == ".png"])
    expected = {kind: tuple(sorted(n for n, (k, _) in OTHERS.items() if k == kind)) for kind, _ in OTHERS.values() if kind}
    expected |= {"link to a folder": ("album",), "link to nothing": ("gone.png",), "name that is not UTF-8": ("caf\udce9.png",)}
    assert found.kinds == expected and len(found) == 10
    assert set(found.kinds) <= set(HELP)
    assert [line.partition(":")[0] for line in found.lines()][:1] == ["2 left out (HEIC; first"]
    assert "pip install pillow-heif" in found.lines()[0]
    read(folder)
    err = capsys.readouterr().err
    for kind, names in list(expected.items())[1:]:
        assert f"{len(names)} left out ({kind}; first: " in err


def test_a_picture_under_another_ending_is_not_one_that_needs_a_library_which_is_there(folder, monkeypatch):
    (folder / "renamed.bak").write_bytes(HEIC)
    monkeypatch.setattr(folders, "endings", lambda: frozenset({".png", ".heic"}))
    assert left_out(folder).kinds == {"picture under another ending": ("renamed.bak",)}


def test_a_file_without_an_ending_is_read_where_a_row_names_it(folder, capsys):
    (folder / "00.png").rename(folder / "00")
    write(folder, ["00,red", *(f"{n:02}.png,blue" for n in range(1, 30))])
    assert sum(map(len, read(folder).values())) == 30
    assert "left out" not in capsys.readouterr().err


@pytest.fixture
def opened(monkeypatch):
    """Names of the pictures that are decoded while tables are built."""
    names, real = [], checked.open_image
    monkeypatch.setattr(
        checked, "open_image", lambda source, name=None, **o: names.append(name) or real(source, name=name, **o)
    )
    return names


def test_a_second_command_decodes_nothing_again_and_a_changed_file_alone(folder, opened):
    first = read(folder)
    assert len(opened) == 30
    opened.clear()
    assert splits(read(folder)) == splits(first) and not opened
    stat = (folder / "03.png").stat()
    content = (folder / "03.png").read_bytes()
    (folder / "03.png").write_bytes(content[:-1] + b"\0")  # of the same size
    os.utime(folder / "03.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # and the same time
    read(folder)
    assert opened == [str(folder / "03.png")]


def test_a_broken_file_is_tried_again_and_a_damaged_memory_is_made_again(folder, opened):
    (folder / "07.png").write_bytes(b"no picture")
    for _ in range(2):
        assert sum(map(len, read(folder, skip_broken=True).values())) == 29
        assert str(folder / "07.png") in opened
        opened.clear()
    (store,) = checked.default_root().glob("checked-*.sqlite")
    store.write_bytes(b"damaged" * 1000)
    assert sum(map(len, read(folder, skip_broken=True).values())) == 29 and len(opened) == 30
    opened.clear()
    read(folder, skip_broken=True)
    read(folder, skip_broken=True)
    assert len(opened) <= 32


def test_without_decoding_the_splits_are_the_same_and_nothing_is_decoded(folder, opened):
    with checked.without_decoding():
        quick = read(folder)
    assert not opened
    assert splits(quick) == splits(read(folder)) and len(opened) == 30


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "wide"])
def test_other_encodings_are_read_by_their_mark_or_refused_by_name_and_line(folder, kind, encoding):
    names = [f"{n:02}.png" for n in range(9)]
    wide = "file_name,café\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names))
    lines = "".join(json.dumps({"file_name": name, "labels": ["café"]}, ensure_ascii=False) + "\n" for name in names)
    text = {"csv": "file_name,labels\n" + "".join(f"{name},café\n" for name in names), "jsonl": lines, "wide": wide}[kind]
    (folder / "metadata.csv").unlink()
    path = folder / ("wide.csv" if kind == "wide" else f"metadata.{kind}")
    path.write_bytes(text.encode(encoding))

    def build():
        return csv.build(csv.Config(path)) if kind == "wide" else read(folder)

    if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert build()["train"].labels.names == ("café",)
    else:
        line = {"csv": 2, "jsonl": 1, "wide": 1}[kind]
        advice = (
            rf", line {line}: not UTF-8 \(byte 0xE9\).*iconv" if encoding == "latin-1" else r": not UTF-8, but UTF-16 .*iconv"
        )
        with pytest.raises(DataError, match=rf"{path.name}{advice}"):
            build()


def test_doubts_about_a_column_are_warned_of_once_with_row_and_option(folder, capsys):
    write(folder, [f"{n:02}.png,{('cat|dog', 'cat', 'dog|sea')[n % 3]}" for n in range(30)])
    assert len(read(folder)["train"].labels) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "delimiter" in line]
    assert "row 1: label 'cat|dog' may be several; did you mean --data.delimiter '|'?" in line
    read(folder, delimiter="|")
    assert "delimiter" not in capsys.readouterr().err


def test_extra_columns_are_data_and_a_name_near_an_optional_one_is_a_warning(folder, capsys):
    write(folder, [f"{n:02}.png,red,blue,7" for n in range(30)], "file_name,labels,negative,width")
    assert read(folder)["train"].labels.names == ("red",)
    err = capsys.readouterr().err
    assert "there is no column 'negatives'; did you mean 'negative'? It is not read" in err and "width" not in err


def test_a_row_without_labels_is_doubtful_where_unlisted_labels_are_absent(folder, capsys):
    (folder / "metadata.csv").unlink()
    rows = [{"file_name": f"{n:02}.png", "labels": ["red"], "negatives": ["blue"]} for n in range(20)]
    rows += [{"file_name": f"{n:02}.png", "note": "not labelled yet"} for n in range(20, 30)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert sum(map(len, read(folder, absent="unknown").values())) == 30
    assert "labels are missing" not in capsys.readouterr().err
    read(folder)
    assert "row 21: labels are missing here (null); read as: no label is listed (10 rows like this)" in capsys.readouterr().err


def test_a_row_that_contradicts_its_split_folder_is_refused(folder, tmp_path):
    root = tmp_path / "three"
    for split, n in (("train", 0), ("val", 1), ("test", 2)):
        (root / split).mkdir(parents=True)
        (folder / f"{n:02}.png").rename(root / split / "x.png")
        (root / split / "metadata.csv").write_text("file_name,labels,split\nx.png,red,train\n")
    with pytest.raises(DataError, match="row 1: split is 'train', but the file is in folder test"):
        read(root)


def test_large_pictures_are_hashed_whole(tmp_path):
    one, other = tmp_path / "a.bmp", tmp_path / "b.bmp"
    Image.new("RGB", (300, 300)).save(one)
    content = bytearray(one.read_bytes())
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    a, b = checked.check([one, other])
    assert a.digest != b.digest and not a.reason and not b.reason
