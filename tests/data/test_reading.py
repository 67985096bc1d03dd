"""Options of reading pictures that all sources of files share; ``sources/test_contract.py`` tries them on each."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctran import registry
from ctran.data import sources
from ctran.data.planted_canvas import Canvas
from ctran.data.reading import Reading, apply
from ctran.data.table import DataError, SampleTable
from tests.data.miniatures import miniature


def build(source: str, root: Path, **options: object) -> dict[str, SampleTable]:
    module = registry.find(sources, source)
    config = module.Config(root=root, **options)
    return apply(module.build(config), config)


def test_every_source_of_files_takes_the_options():
    for name in registry.names(sources):
        config = registry.find(sources, name).Config
        assert issubclass(config, Reading) != issubclass(config, Canvas), f"{name}: planted worlds draw their pictures"


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
    left_out = build("imagefolder", root, truncated="read", skip_broken=True, **given)["train"]
    plain = dataclasses.replace(left_out, truncated="refuse")
    assert left_out.fingerprint != plain.fingerprint, "features of other pixels"
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


def test_a_split_without_a_readable_picture_and_a_white_below_zero_are_refused(tmp_path):
    source, options = miniature("voc2007", tmp_path)
    table = source.build(source.Config(**options))["train"].select([1])
    Path(table.rows[0]["image"]["path"]).write_text("no picture")
    with pytest.raises(DataError, match=r"no picture of split 'train' can be read: .*not a picture"):
        apply({"train": table}, Reading(skip_broken=True))
    with pytest.raises(ValueError, match=r"data.white must be a finite number above 0, got -1"):
        Reading(white=-1.0)
