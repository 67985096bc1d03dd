"""Suspicious annotations for people to check: a sheet, and a page."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from ctran.data.table import SampleTable
from ctran.files import write_text
from ctran.plots.sheets import grid
from ctran.plots.style import BAD, INK, save_figure, write

if TYPE_CHECKING:
    from ctran.analysis.suspects import Suspect

SIDE = 224

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 76rem; padding: 0 1rem }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1.2rem; padding: 0; list-style: none }}
img {{ width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; border-radius: 6px }}
b {{ display: block; margin-top: .4rem }} small {{ opacity: .75; overflow-wrap: anywhere }}
</style>
<h1>{title}</h1>
<p>{about}</p>
<ol>
{items}
</ol>
</html>
"""
_ABOUT = (
    "Each label was left out and asked for, given all other annotations. The first disagree most with the model; the "
    "model may be the one that is wrong."
)


def sentence(suspect: "Suspect") -> str:
    """The annotation and the model's probability."""
    annotation = "present" if suspect.annotated else "absent"
    return f"{suspect.label}: annotated {annotation}, {100 * suspect.probability:.1f} % likely"


def suspect_sheet(suspects: Sequence["Suspect"], table: SampleTable, path: Path) -> None:
    """Five pictures a row, each with its suspicious annotation below."""
    figure, places = grid(len(suspects), 2.8, "annotations that disagree most with picture and other labels")
    for axes, suspect in zip(places, suspects, strict=True):
        axes.imshow(ImageOps.pad(table.picture(suspect.row), (SIDE, SIDE), color="white"))
        name, _, rest = sentence(suspect).partition(": ")
        for line, (text, colour) in enumerate(((name, INK), (rest, BAD), (suspect.id, INK))):
            write(axes, line, text, colour)
    save_figure(figure, path)


def suspect_page(suspects: Sequence["Suspect"], table: SampleTable, path: Path, *, title: str) -> None:
    """One HTML file with the pictures in it; opens from disk."""
    items = "\n".join(
        f'<li><img alt="" loading="lazy" src="{inline(table.picture(s.row))}"><b>{html.escape(sentence(s))}</b>'
        f"<small>{html.escape(s.id)}</small></li>"
        for s in suspects
    )
    write_text(path, PAGE.format(title=html.escape(title), about=_ABOUT, items=items))


def inline(picture: Image.Image) -> str:
    """A small version of a picture as an address with its content."""
    small, file = ImageOps.contain(picture, (2 * SIDE, 2 * SIDE)), io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
