"""The fenced blocks of a Markdown page."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("*.md")]
    if "_build" not in path.parts
)
"""Every page that a user may read."""

FENCE = re.compile(r"^```(\w*|\{[^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, the line of its first line of text, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page, in order; not the directives of Sphinx (``{toctree}``), which ``make docs`` runs."""
    content = (ROOT / page).read_text(encoding="utf-8")
    found = [Block(page, content.count("\n", 0, m.start()) + 2, m[1], m[2]) for m in FENCE.finditer(content)]
    return [block for block in found if not block.language.startswith("{")]


def commands_in(block: Block) -> list[tuple[str, str]]:
    """Place and text of every command of a shell block, without its comment."""
    found = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        command = re.sub(r"(^|\s)#.*$", "", line).strip()  # no command of ours has a # within quotes
        if command:
            found.append((f"{block.page}:{number}", command))
    return found


def inline_commands(page: str) -> list[str]:
    """What stands as `ctran COMMAND ...` in the text of a page, outside of blocks."""
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return [" ".join(found.split()) for found in re.findall(r"`(ctran [a-z][^`]*)`", text)]
