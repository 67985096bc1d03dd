"""A tiny data set for each source, published ones in exactly their official layout. Each module has

* ``make(root) -> options``: writes it below ``root``; the options that make it usable (``root`` itself unless it is given).
* ``MISSING``: files and folders below ``root`` without which nothing can be read.
* ``break_pictures(root, contents)``, where pictures are no files: replaces the first training pictures.
* ``break_record(root) -> pattern``: spoils one record; the error must match the pattern, which names the file and the place.
"""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ctran import registry
from ctran.data import sources


def miniature(name: str, root: Path) -> tuple[ModuleType, dict[str, Any]]:
    """The source and all options of a miniature freshly made in ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    return registry.find(sources, name), {"root": root} | import_module(f"{__name__}.{name}").make(root)


def flags(options: dict[str, Any]) -> list[str]:
    """The same options on the command line."""
    texts = {key: str(value) if isinstance(value, Path) else json.dumps(value).strip('"') for key, value in options.items()}
    return [flag for key, text in texts.items() for flag in (f"--data.{key}", text)]


def edit_json(path: Path, edit: Callable[[Any], object]) -> None:
    """Change the content of a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
