"""Small files in the format of WordNet's database."""

from collections.abc import Mapping, Sequence
from pathlib import Path

LICENCE = "  1 a licence, which no reader should take for a sense  \n"


def write(
    folder: Path, senses: Mapping[str, tuple[list[str], list[str]]], order: Mapping[str, Sequence[str]] | None = None
) -> None:
    """``data.noun`` and ``index.noun``; lines of the data begin with their own place in the file.

    Args:
        senses: the first word of a sense -> its words, and what it is a kind of; ``Rex`` is an instance of it.
        order: of words with several senses, these by frequency.
    """
    offsets, lines = dict[str, int](), list[str]()
    for _ in range(2):  # the lengths are known after the first pass
        lines, place = [], len(LICENCE)
        for name, (words, above) in senses.items():
            kind = "@i" if name == "Rex" else "@"
            pointers = [f"{kind} {offsets.get(up, 0):08} n 0000" for up in above] + ["#p 00000000 n 0000"]
            spelled = " ".join(f"{word} 0" for word in words)
            offsets[name] = place
            counted = f"{len(words):02x} {spelled} {len(pointers):03} {' '.join(pointers)}"
            lines.append(f"{place:08} 03 n {counted} | a gloss @ 1  \n")
            place += len(lines[-1])
    (folder / "data.noun").write_text(LICENCE + "".join(lines))
    found = dict[str, list[str]]()
    for name, (words, _) in senses.items():
        for word in words:
            found.setdefault(word.lower(), []).append(name)
    rows = []
    for word, names in sorted(found.items()):
        listed = [f"{offsets[name]:08}" for name in (order or {}).get(word, names)]
        rows.append(f"{word} n {len(listed)} 2 @ ~ {len(listed)} 1 {' '.join(listed)}  \n")
    (folder / "index.noun").write_text(LICENCE + "".join(rows))
