"""The table of sets in ``README.md``: counts from the packages and the committed lists."""

from collections.abc import Sequence
from typing import Any

HEAD = (
    "set",
    "kind",
    "pictures (train / val / test)",
    "labels",
    "positives a picture",
    "unknown",
    "use",
    "licence",
    "packages",
)


def table(reports: Sequence[dict[str, Any]]) -> str:
    """Markdown, one row a set, from :func:`benchmarks.suite.build.describe`."""
    lines = [HEAD, ["---"] * len(HEAD), *map(_row, reports)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(report: dict[str, Any]) -> list[str]:
    pictures = report["pictures"]
    return [
        f"`{report['set']}`",
        report["kind"],
        f"{sum(pictures.values()):,} ({' / '.join(f'{n:,}' for n in pictures.values())})",
        str(report["labels"]),
        f"{report['positives_per_picture']:.2f}",
        f"{report['unknown_share']:.1%}".replace("%", " %") if report["unknown_share"] else "complete",
        "**held out**" if report["held_out"] else "choices",
        report["licence"],
        ", ".join(f"`{spec}`" for spec in report["packages"]) or "in the repository",
    ]
