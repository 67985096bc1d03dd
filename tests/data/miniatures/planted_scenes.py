"""The planted world of nine objects from tiny clip art."""

from pathlib import Path

from tests.data.miniatures import openclipart

MISSING = openclipart.MISSING
KINDS = openclipart.KINDS | {
    "hotel": "computer/icons/hotel",
    "led": "signs_and_symbols/led/round",
    "warning": "signs_and_symbols/warning",
    "callout": "shapes/callouts/round",
    "file type": "computer/icons/lemon-theme/mimetypes",
    "smiley": "people/smilies/plain",
}


def make(root: Path) -> dict[str, object]:
    """Write the clip art; the options that make it usable."""
    openclipart.make(root, KINDS)
    return {"train": 12, "val": 8, "test": 8, "canvas": 32}


def break_record(root: Path) -> str:
    return openclipart.break_record(root, KINDS)
