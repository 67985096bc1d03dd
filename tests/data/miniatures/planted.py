"""A planted world of two objects from tiny clip art."""

from pathlib import Path

from tests.data.miniatures import openclipart

MISSING = openclipart.MISSING
break_record = openclipart.break_record


def make(root: Path) -> dict[str, object]:
    """Write the clip art; the options that make it usable."""
    openclipart.make(root)
    return {"train": 12, "val": 8, "test": 8, "objects": 2, "canvas": 32}
