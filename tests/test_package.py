"""What is built for others holds all that it needs."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


def names(path: str) -> set[str]:
    if path.endswith(".whl"):
        return set(zipfile.ZipFile(path).namelist())
    with tarfile.open(path) as archive:
        return {name.partition("/")[2].removeprefix("src/") for name in archive.getnames()}


@pytest.mark.parametrize("builder", [SdistBuilder, WheelBuilder])
def test_every_file_of_the_package_is_in_it_and_no_picture(builder, tmp_path):
    (built,) = builder(str(ROOT)).build(directory=str(tmp_path))
    inside = names(built)
    source = ROOT / "src"
    wanted = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert (
        "ctran/data/table.py" in wanted
        and "ctran/recipes/paper/coco80.yaml" in wanted
        and "ctran/paper/published.yaml" in wanted
    )
    assert wanted <= inside
    assert not any(name.startswith("data/openclipart") for name in inside)
