"""What ``ctran data check`` found, as a page with the pictures."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from ctran.data.findings import KINDS, Finding
from ctran.files import write_text
from ctran.images.reading import BrokenImageError, open_image
from ctran.plots.suspects import PAGE, inline

SHOWN = 200
"""Findings of a kind that the page shows."""


def findings_page(findings: Sequence[Finding], paths: Mapping[str, Path], path: Path, *, title: str) -> None:
    """One HTML file with the pictures in it; opens from disk.

    Args:
        findings: in their order.
        paths: file of each picture, by its id.
        path: file to write.
        title: of the page.
    """
    items = []
    for kind, meaning in KINDS.items():
        some = [one for one in findings if one.kind == kind]
        for one in some[:SHOWN]:
            pictures = "".join(_picture(paths[name]) for name in one.pictures[:2] if name in paths)
            items.append(
                f'<li title="{html.escape(meaning)}">{pictures}<b>{kind}</b><small>{html.escape(one.message)}</small></li>'
            )
        if len(some) > SHOWN:
            items.append(f"<li><b>{kind}</b><small>and {len(some) - SHOWN:,} more</small></li>")
    about = (
        ", ".join(f"{sum(one.kind == kind for one in findings):,} x {kind}" for kind in KINDS) if findings else "No findings."
    )
    write_text(path, PAGE.format(title=html.escape(title), about=about, items="\n".join(items)))


def _picture(path: Path) -> str:
    """The picture as an element; nothing for one that cannot be read."""
    try:
        picture: Image.Image = open_image(path)
    except BrokenImageError:
        return ""
    return f'<img alt="" loading="lazy" src="{inline(picture)}">'
