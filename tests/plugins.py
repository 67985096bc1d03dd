"""Packages that add to ctran by entry points, put where Python finds them as an installer would."""

import configparser
import shutil
import sys
import tomllib
from pathlib import Path

PLUGIN = Path(__file__).parent / "plugin"
"""A project with a method, a data source and a loss."""


def place(folder: Path, name: str, version: str, points: dict[str, dict[str, str]], modules: dict[str, str]) -> Path:
    """What an installer leaves of a package: its modules, and what describes it. Returns ``folder``."""
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    written = configparser.ConfigParser()
    written.read_dict(points)
    with (about / "entry_points.txt").open("w") as file:
        written.write(file)
    for file, text in modules.items():
        (folder / file).write_text(text)
    return folder


def place_project(folder: Path) -> Path:
    """The same of :data:`PLUGIN`."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    shutil.copytree(PLUGIN / "ctran_toy", folder / "ctran_toy", ignore=shutil.ignore_patterns("__pycache__"))
    return place(folder, project["name"], project["version"], project["entry-points"], {})


def forget(folder: Path) -> None:
    """Remove what was imported from a folder."""
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and Path(file).is_relative_to(folder):
            del sys.modules[name]
