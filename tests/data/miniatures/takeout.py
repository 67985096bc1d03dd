"""A Takeout of Google Photos: a year, an album with copies, names in both forms that Google wrote."""

import json
import shutil
from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ()


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    year, album = root / "Photos from 2024", root / "blue"
    year.mkdir()
    album.mkdir()
    (album / "metadata.json").write_text(json.dumps({"title": "blue", "description": "", "access": "protected"}))
    for number, (name, (colours, _)) in enumerate(imagefolder.pictures(root).items()):
        people = [{"name": colour} for colour in colours if colour != "blue"]
        taken = {"timestamp": str(1700000000 + number), "formatted": "Nov 14, 2023, 10:13:20 PM UTC"}
        about = {"title": name, "photoTakenTime": taken, "geoData": {"latitude": 0.0}} | ({"people": people} if people else {})
        for folder in (year, album) if "blue" in colours else (year,):
            ending = "supplemental-metadata.json" if number % 2 else "json"
            (folder / f"{name}.{ending}").write_text(json.dumps(about))
            shutil.copyfile(root / name, folder / name)
        (root / name).unlink()
    (year / "film.mp4.json").write_text(json.dumps({"title": "film.mp4", "photoTakenTime": {"timestamp": "1"}}))
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    path = root / "Photos from 2024/02.png.json"
    path.write_text(path.read_text().replace('"title": "02.png"', '"title": 2'))
    return r"02.png.json: Expected `str`, got `int` - at `\$.title`. Expected what Google Photos writes"
