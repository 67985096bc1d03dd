"""Broken and truncated pictures, whatever the source: one contract over all that read files."""

import dataclasses
import io
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctran import registry
from ctran.data import sources
from ctran.data.reading import Reading, apply
from ctran.data.table import DataError, SampleTable
from ctran.images.reading import BrokenImageError
from tests.data import miniatures

NOISE = io.BytesIO()
Image.effect_noise((48, 48), 90).convert("RGB").save(NOISE, "JPEG")
TRUNCATED = NOISE.getvalue()[: len(NOISE.getvalue()) // 2]
QUICK = ("news500", "openimages", "vg500", "voc2007")
"""Miniatures that are written quickly; the others run with the slow tests."""
PUBLISHED = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in registry.names(miniatures)]


def build(source: str, root: Path, **options: object) -> dict[str, SampleTable]:
    module = registry.find(sources, source)
    config = module.Config(root=root, **options)
    return apply(module.build(config), config)


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request, tmp_path_factory):
    """Name, folder and options of a miniature whose training set has a truncated picture and one that is none."""
    root = tmp_path_factory.mktemp(request.param)
    miniature = import_module(f"tests.data.miniatures.{request.param}")
    options = miniature.make(root)
    table = build(request.param, root, **options)["train"]
    cut, text = (Path(table.rows[n]["image"]["path"]) for n in (0, 1))
    cut.write_bytes(TRUNCATED)
    text.write_text("no picture")
    return request.param, root, options


def test_every_source_of_files_takes_the_options():
    for name in registry.names(sources):
        config = registry.find(sources, name).Config
        assert issubclass(config, Reading) == (name != "planted"), f"{name}: planted draws its pictures itself"


def test_a_broken_picture_of_any_published_set_is_named_with_what_helps(published):
    source, root, options = published
    tables = build(source, root, **options)
    for number in (0, 1):
        name = tables["train"].ids[number]
        for read in (tables["train"].picture, tables["train"].pixels):
            with pytest.raises(BrokenImageError, match=f"picture '{name}'.*--data.skip_broken true.*--data.truncated read"):
                read(number)


def test_broken_pictures_of_any_published_set_are_left_out_on_request(published, capsys):
    source, root, options = published
    before = build(source, root, **options)
    after = build(source, root, skip_broken=True, **options)
    assert after["train"].ids == before["train"].ids[2:]
    assert [b.row for b in after["train"].broken] == [f"picture {name!r}" for name in before["train"].ids[:2]]
    assert f"2 of {len(before['train'])} pictures of split 'train' cannot be read and are left out" in capsys.readouterr().err
    assert len(after["val"]) == len(before["val"]) and len(after["train"].truth) == len(after["train"])
    for number in range(len(after["train"])):
        after["train"].pixels(number)


def test_truncated_pictures_of_any_published_set_are_read_on_request(published):
    source, root, options = published
    tables = build(source, root, truncated="read", **options)
    assert tables["train"].pixels(0).float().std() > 0
    with pytest.raises(BrokenImageError, match="not a picture"):
        tables["train"].pixels(1)
    both = build(source, root, truncated="read", skip_broken=True, **options)
    assert both["train"].ids == [tables["train"].ids[0], *tables["train"].ids[2:]]
    plain = build(source, root, **options)
    assert tables["train"].fingerprint != plain["train"].fingerprint, "features of other pixels"


def folder_of(root: Path) -> Path:
    """Ten pictures with labels; the first ends early, the second has 12 bits in 16."""
    lines = ["file_name,labels,split"]
    for number in range(10):
        values = np.random.default_rng(number).integers(0, 4096, (16, 16)).astype(np.uint16)
        name = f"{number}.png" if number == 1 else f"{number}.jpg"
        (Image.fromarray(values) if number == 1 else Image.fromarray((values >> 4).astype(np.uint8))).save(root / name)
        lines.append(f"{name},{'red' if number % 2 else 'blue'},{'train' if number < 6 else 'val' if number < 8 else 'test'}")
    (root / "0.jpg").write_bytes((root / "0.jpg").read_bytes()[:-40])
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_users_own_folder_takes_the_same_options(tmp_path):
    root = folder_of(tmp_path)
    given = {"absent": "negative", "white": 4095.0}
    with pytest.raises(DataError, match=r"0.jpg.*--data.skip_broken true.*--data.truncated read"):
        build("imagefolder", root, **given)
    assert len(build("imagefolder", root, skip_broken=True, **given)["train"]) == 5
    tables = build("imagefolder", root, truncated="read", **given)
    assert len(tables["train"]) == 6 and tables["train"].pixels(0).shape == (16, 16, 3)
    assert tables["train"].pixels(1).max() > 250, "white is 4095"
    with pytest.raises(DataError, match=r"0.jpg"):
        build("imagefolder", root, **given)  # what was read truncated is not remembered as whole


def test_pictures_in_the_table_itself_are_left_out_too(tmp_path):
    table = build("openclipart", Path("data/openclipart"))["val"].select(range(4))
    rows = [dict(row) for row in table.rows]
    rows[2]["image"] = {"bytes": rows[2]["image"]["bytes"][:200], "path": None}
    broken = dataclasses.replace(table, rows=type(table.rows).from_list(rows, features=table.rows.features))
    tables = apply({"val": broken, "test": broken}, Reading(skip_broken=True))
    assert tables["val"].ids == [table.ids[n] for n in (0, 1, 3)]
    assert tables["val"] is tables["test"], "one table under two names"


def test_a_split_without_a_readable_picture_and_a_white_below_zero_are_refused(published):
    source, root, options = published
    table = build(source, root, **options)["train"].select([1])
    with pytest.raises(DataError, match=r"no picture of split 'train' can be read: .*not a picture"):
        apply({"train": table}, Reading(skip_broken=True))
    with pytest.raises(ValueError, match=r"data.white must be a finite number above 0, got -1"):
        Reading(white=-1.0)
