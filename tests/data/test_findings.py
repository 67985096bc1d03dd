"""What is found in a folder in which everything was made wrong on purpose, and in one that is right."""

import json
import random
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ctran.cli.main import main
from ctran.data import conversion
from ctran.data.findings import KINDS, Examination, singular
from ctran.data.near import groups_of, near_pairs, print_of, stratified
from ctran.labels import Group, LabelSpace


def scene(seed, size=(96, 72)):
    """A picture of a few shapes, another one for each seed."""
    chance = random.Random(seed)
    picture = Image.new("RGB", size, tuple(chance.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(7):
        x, y = chance.randrange(size[0]), chance.randrange(size[1])
        draw.ellipse([x - 18, y - 18, x + 18, y + 18], fill=tuple(chance.randrange(256) for _ in range(3)))
    return picture


def folder_of(root, rows):
    root.mkdir(exist_ok=True)
    lines = [json.dumps({"file_name": name, "labels": labels, **more}) for name, labels, more in rows]
    (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def wrong(tmp_path):
    """A folder with one fault of each kind."""
    root = tmp_path / "wrong"
    root.mkdir()
    rows = []
    for number in range(40):
        scene(number).save(root / f"{number:02}.png")
        labels = [["cat", "animal"], ["dog", "animal"], ["car"], ["cat", "car", "animal"]][number % 4]
        rows.append((f"{number:02}.png", labels, {"split": ("train", "train", "train", "val", "test")[number % 5]}))
    rows[0] = ("00.png", ["cats", "animal"], rows[0][2])
    rows[4] = ("04.png", ["cat", "ice cream"], rows[4][2])  # cat without animal
    scene(3).resize((90, 70)).save(root / "again.jpg", quality=70)  # 03 is in val
    rows.append(("again.jpg", ["cat", "car", "animal"], {"split": "train"}))
    shutil.copyfile(root / "10.png", root / "copy.png")  # the same file in the same split, with another label
    rows.append(("copy.png", ["dog", "animal"], {"split": rows[10][2]["split"]}))
    (root / "broken.png").write_bytes(b"no picture")
    rows.append(("broken.png", ["car"], {"split": "train"}))
    return folder_of(root, rows)


def examined(root, labels=None, **options):
    module = conversion.formats()["imagefolder"]
    config = module.Config(root=root, **({"absent": "negative"} | options))
    annotated = conversion.read(module, config)
    space = LabelSpace(annotated.labels)
    return Examination(annotated, space.extended(*labels) if labels else space, config)


def test_every_kind_of_fault_is_found_once_with_its_pictures(wrong):
    one = examined(wrong, ((), [Group("kind", ("cat", "dog", "car"), True)], [("cat", "animal")]))
    found = {}
    for finding in one.findings():
        found.setdefault(finding.kind, []).append(finding)
    assert [f.pictures for f in found["broken picture"]] == [("broken.png",)]
    assert [f.pictures for f in found["leak"]] == [("03.png", "again.jpg")]
    assert [f.pictures for f in found["near duplicate"]] == [("10.png", "copy.png")]
    assert [(f.pictures, f.labels) for f in found["same picture, other labels"]] == [
        (("10.png", "copy.png"), ("animal", "car", "dog"))
    ]
    assert {f.labels for f in found["twins"]} == {("cat", "cats")}
    assert {f.labels for f in found["rare label"]} >= {("cats",), ("ice cream",)}
    both = {f"{n:02}.png" for n in range(3, 40, 4)} | {"again.jpg"}
    assert {f.pictures[0] for f in found["contradiction"]} == both | {"00.png"}  # both cat and car, or none of the group
    assert list(found) == [kind for kind in KINDS if kind in found] and "one-sided label" not in found


def test_explicitly_absent_parents_contradict_and_unlisted_ones_do_not(tmp_path):
    rows = [(f"{n}.png", ["cat"], {"negatives": ["animal"] if n == 2 else []}) for n in range(4)]
    root = folder_of(tmp_path / "x", [*rows, ("4.png", ["animal"], {})])
    for n in range(5):
        scene(n).save(root / f"{n}.png")
    one = examined(root, ((), (), [("cat", "animal")]), absent="unknown")
    assert [f.pictures for f in one.findings() if f.kind == "contradiction"] == [("2.png",)]
    assert {f.labels for f in one.findings() if f.kind == "one-sided label"} == {("cat",)}


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    rows = [
        (f"{n:03}.png", [c for i, c in enumerate("abc") if n >> i & 1], {"split": ["train", "val", "test"][n // 8 % 3]})
        for n in range(72)
    ]
    root = folder_of(tmp_path / "right", rows)
    for n in range(72):
        scene(100 + n).save(root / f"{n:03}.png")
    assert examined(root).findings() == []


def test_copies_in_other_sizes_and_formats_are_near_and_other_pictures_are_not():
    pictures = [scene(n) for n in range(60)]
    changed = [p.resize((160, 120)) for p in pictures[:20]] + [
        Image.eval(p, lambda v: min(255, v + 6)) for p in pictures[20:40]
    ]
    pairs = near_pairs([print_of(p) for p in [*pictures, *changed]])
    assert pairs == [(n, 60 + n) for n in range(40)]


def test_pictures_with_little_on_them_are_compared_by_what_is_there():
    white = Image.new("RGB", (64, 64), "white")
    assert near_pairs([print_of(white), print_of(white), None]) == [(0, 1)]
    green, blue = (Image.new("RGB", (64, 64), (255, *rest)) for rest in ((180, 0), (90, 225)))
    assert near_pairs([print_of(green), print_of(blue)]) == []  # grey of the same brightness
    black = Image.new("RGB", (64, 64), "black")
    assert near_pairs([print_of(white), print_of(black)]) == []


def test_groups_are_those_linked_by_a_chain():
    assert groups_of(6, [(0, 1), (4, 5), (1, 4)]).tolist() == [0, 0, 2, 3, 0, 0]


def test_new_splits_keep_near_duplicates_together_and_give_every_label_its_share(wrong):
    one = examined(wrong)
    splits = one.new_splits()
    assert splits == examined(wrong).new_splits() and "broken.png" not in splits
    assert splits["03.png"] == splits["again.jpg"] and splits["10.png"] == splits["copy.png"]
    chance = np.random.default_rng(0)
    often = np.array([0.5, 0.2, 0.05, 0.02])
    labels = [[f"l{i}" for i in np.flatnonzero(row)] for row in chance.random((1000, 4)) < often]
    found = np.array(stratified(list(range(1000)), labels, [str(i) for i in range(1000)]))
    for name in ("l0", "l1", "l2", "l3"):
        held = np.array([name in row for row in labels])
        for split, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
            assert abs((found[held] == split).sum() - share * held.sum()) <= 1.5
    assert {s: abs(int((found == s).sum()) - n) <= 10 for s, n in (("train", 700), ("val", 100), ("test", 200))}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dog", "dogs"),
        ("berry", "Berries"),
        ("church", "churches"),
        ("ice-cream", "ice cream"),
        ("café", "cafe\u0301s"),
        ("box", "boxes"),
    ],
)
def test_singular_and_plural_are_one(one, other):
    assert singular(one) == singular(other)


@pytest.mark.parametrize(("one", "other"), [("bus", "bu"), ("glass", "glas"), ("iris", "iri"), ("cat", "car"), ("gas", "ga")])
def test_words_that_end_in_s_are_left(one, other):
    assert singular(one) != singular(other)


def test_the_command_prints_writes_a_page_and_splits_that_training_takes(wrong, tmp_path, capsys):
    fix, page = tmp_path / "splits.csv", tmp_path / "page.html"
    flags = ["--absent", "negative", "--skip-broken", "true"]
    assert main(["data", "check", str(wrong), *flags, "--page", str(page), "--fix", str(fix)]) == 0
    out = capsys.readouterr().out
    assert (
        "43 pictures, 6 labels" in out
        and "leak: 1" in out
        and "'03.png' in val and 'again.jpg' in train are nearly the same" in out
    )
    assert f"use it with: --data.splits {fix}" in out
    text = page.read_text()
    assert text.count("<li ") > 5 and "data:image/jpeg" in text and "no picture" not in text.replace("not a picture", "")
    assert main(["data", "check", str(wrong), *flags, "--json", "--data.splits", str(fix)]) == 1  # the broken one has no split
    assert "no split for 'broken.png'" in capsys.readouterr().err
    (wrong / "broken.png").unlink()
    assert main(["data", "check", str(wrong), *flags, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["findings"][0]
    assert first["kind"] == "broken picture" and "no such file" in first["message"]
    lines = (wrong / "metadata.jsonl").read_text().splitlines()
    (wrong / "metadata.jsonl").write_text("\n".join(lines[:-1]))
    assert main(["data", "check", str(wrong), *flags, "--json", "--data.splits", str(fix)]) == 0
    found = json.loads(capsys.readouterr().out)
    kinds = [finding["kind"] for finding in found["findings"]]
    assert "leak" not in kinds and kinds.count("near duplicate") == 2 and found["pictures"] == 42
    assert sum(found["splits"].values()) == 42 and set(found["splits"]) == {"train", "val", "test"}


def test_wrong_use_is_named(tmp_path, capsys):
    assert main(["data", "check"]) == 1
    assert "expected 'ctran data check ROOT'" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path), "--absent", "negative", "--to", "csv"]) == 1
    assert "--to belongs to 'ctran data convert" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path), "--absent", "negative", "--fix", str(tmp_path / "no/x.csv")]) == 1
    assert "--fix" in capsys.readouterr().err
