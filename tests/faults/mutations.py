"""Damaged files: the same number gives the same damage. Each mutation is of one kind that people, disks or attackers make."""

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from tests.faults.parquet import changed_parquet
from tests.faults.wrong_values import CELLS, DEEP, ENTITIES, RAW, YAML


def mutated(content: bytes, suffix: str, chance: Random) -> bytes:
    """A damaged file of this ending; it may be the same by chance."""
    own = BY_ENDING.get(suffix)
    if own is None or chance.random() < 0.4:
        return changed_bytes(content, chance)
    try:
        found = own(content, chance)
    except (ValueError, IndexError, pa.ArrowException, OverflowError):  # this damage does not fit this file
        return changed_bytes(content, chance)
    return changed_bytes(found, chance) if chance.random() < 0.05 else found


# ---------------------------------------------------------------------- bytes


def changed_bytes(content: bytes, chance: Random) -> bytes:
    """Bytes changed, left out, put in, repeated; the file cut, emptied, or in another encoding; lines swapped or repeated."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at, length = chance.randrange(max(1, len(changed))), chance.choice([1, 1, 4, 16, 300])
        if chance.random() < 0.4:
            at = min(at, chance.randrange(200))
        kind = chance.randrange(12)
        if kind < 3 and changed:
            changed[min(at, len(changed) - 1)] = chance.choice([0, 10, 13, 34, 44, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = chance.randbytes(length)
        elif kind == 5:
            changed[at:at] = changed[at : at + length] * chance.choice([1, 2, 50])
        elif kind == 6:
            del changed[at:]
        elif kind == 7:
            changed[at:at] = chance.choice(
                [b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\r", b"\x1a", "ſİ\u2028".encode()]
            )
        elif kind == 8:
            changed = bytearray(_recoded(bytes(changed), chance))
        elif kind < 11:
            changed = bytearray(b"\n".join(_shuffled(bytes(changed).split(b"\n"), chance)))
        else:
            changed = bytearray(chance.choice([b"", b"\n", b"{}", b"[]", b"null", chance.randbytes(100)]))
    return bytes(changed)


def _recoded(content: bytes, chance: Random) -> bytes:
    text = content.decode("latin-1")
    text = text.replace("e", "é", 1) if chance.random() < 0.5 else text
    return text.encode(chance.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7"]), "replace")


def _shuffled(lines: list[bytes], chance: Random) -> list[bytes]:
    a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(3)
    if kind == 0:
        lines[a], lines[b] = lines[b], lines[a]
    elif kind == 1:
        lines.insert(b, lines[a])
    else:
        del lines[a]
    return lines


# ----------------------------------------------------------------------- JSON


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []:
        found.append((value, key))
        _places(value[key], found)
    return found


def changed_json(content: bytes, chance: Random) -> bytes:
    """One place of a JSON value removed, repeated, renamed, swapped with another or of a wrong kind."""
    value = json.loads(content)
    places = _places(value, [])
    holder, key = chance.choice(places)
    kind, raw = chance.randrange(6), chance.choice(RAW)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif kind == 1:
        holder["@twice"] = [key, holder[key]]
    elif kind == 2:
        other, place = chance.choice(places)
        holder[key], other[place] = json.loads(json.dumps(other[place])), json.loads(json.dumps(holder[key]))
    elif kind == 3 and isinstance(holder, dict):
        holder[chance.choice([key.upper(), "", "x", key + " "])] = holder.pop(key)
    else:
        holder[key] = "@raw"
    text = json.dumps(value).replace('"@raw"', raw)
    return re.sub(r'"@twice": \[("[^"]*"), (.*?)\]([,}])', r"\1: \2\3", text).encode()


def changed_lines(content: bytes, chance: Random) -> bytes:
    """One line of JSON lines changed as a value."""
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = changed_json(lines[at], chance)
    return b"\n".join(lines)


# ----------------------------------------------------------------- other text


def changed_cells(content: bytes, chance: Random) -> bytes:
    """A cell of a wrong kind, or columns swapped, renamed, repeated or left out."""
    text = content.decode()
    separator = "\t" if "\t" in text else "," if "," in text else " "
    rows = [line.split(separator) for line in text.split("\n")]
    row = chance.choice(rows)
    a, b = chance.randrange(len(rows[0])), chance.randrange(len(rows[0]))
    kind = chance.randrange(7)
    for each in rows if kind < 3 else [row]:
        if max(a, b) >= len(each):
            continue
        if kind == 0:
            each[a], each[b] = each[b], each[a]
        elif kind == 1:
            del each[a]
        elif kind == 2:
            each.insert(b, each[a])
        else:
            each[a] = chance.choice([*CELLS, *(cell for other in rows for cell in other)])
    return "\n".join(separator.join(each) for each in rows).encode("utf-8", "surrogateescape")


def changed_xml(content: bytes, chance: Random) -> bytes:
    """An element or attribute changed, entities declared and used, deep nesting, another encoding declared."""
    text = content.decode()
    kind = chance.randrange(8)
    spans = list(re.finditer(r"<(\w[\w:]*)[^<>]*>[^<]*</\1>|\"[^\"<>]*\"|>[^<>]+<|<[^<>]+>", text))
    span = chance.choice(spans)
    part, new = span[0], chance.choice(CELLS)
    if kind == 0:
        part = ""
    elif kind == 1:
        part *= chance.choice([2, 3, 1000])
    elif kind == 2:
        start = text.find("<", text.find("?>") + 1) if text.startswith("<?xml") else 0
        used = text.replace(">", f">{chance.choice(['&x;', '&a11;', '&a11;' * 1000])}", 1) if chance.random() < 0.3 else text
        used = re.sub(r"(<name>|label=\"|<filename>)[^<\"]*", r"\1&a11;", text, count=1) if used is text else used
        return (used[:start] + chance.choice(ENTITIES) + used[start:]).encode()
    elif kind == 3:
        part = "<a>" * DEEP + part + "</a>" * DEEP
    elif kind == 4 and text.startswith("<"):
        declared = chance.choice(["utf-16", "latin-1", "utf-7", "nonsense", "cp037"])
        return f'<?xml version="1.0" encoding="{declared}"?>{text.partition("?>")[2] or text}'.encode()
    elif part[0] == '"':
        part = f'"{new}"'
    elif part[0] == ">":
        part = f">{new}<"
    else:
        part = part.replace(span[1] or "x", chance.choice(["x", "object", "name", "image", span[1] or "y"]))
    return (text[: span.start()] + part + text[span.end() :]).encode("utf-8", "surrogateescape")


def changed_yaml(content: bytes, chance: Random) -> bytes:
    """A value or key of a wrong kind."""
    lines = content.decode().split("\n")
    at, new = chance.randrange(len(lines)), chance.choice(YAML)
    head, colon, _ = lines[at].partition(":")
    if chance.random() < 0.1:
        return new.encode()
    lines[at] = (
        f"{head}: {new}"
        if colon and chance.random() < 0.7
        else f"{lines[at][: len(lines[at]) - len(lines[at].lstrip())]}- {new}"
    )
    if colon and chance.random() < 0.5:  # what stood below it
        while at + 1 < len(lines) and lines[at + 1].startswith((" ", "-")):
            del lines[at + 1]
    return "\n".join(lines).encode()


# --------------------------------------------------------------------- binary


def changed_tar(content: bytes, chance: Random) -> bytes:
    """A member changed, renamed, repeated, swapped, left out, a link or of a size that it has not."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        held = [(member, tar.extractfile(member).read()) for member in tar if member.isfile()]  # pyright: ignore[reportOptionalMemberAccess]
    at, kind, sink = chance.randrange(len(held)), chance.randrange(7), io.BytesIO()
    member, data = held[at]
    if kind == 0:
        del held[at]
    elif kind == 1:
        held.insert(chance.randrange(len(held)), held[at])
    elif kind == 2:
        member.name = chance.choice(
            ["../../x.png", "/etc/x.json", "", ".", "a\0b.png", "x" * 300 + ".json", "00.JSON", "é\udcff.png", "a/00.json"]
        )
    elif kind == 3:
        member.type, member.linkname = (
            chance.choice([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]),
            "/etc/passwd",
        )
        data = b""
    elif kind == 4:
        member.size = chance.choice([0, 1, 2**33, len(data) + 1000])
    else:
        data = mutated(data, Path(member.name).suffix, chance)
    with tarfile.open(fileobj=sink, mode=chance.choice(["w", "w:gz", "w:xz", "w:bz2"]), errors="surrogateescape") as tar:
        for place, (each, its) in enumerate(held):
            its = data if place == at and each is member else its
            each.size = len(its) if kind != 4 or each is not member else each.size
            tar.addfile(each, io.BytesIO(its.ljust(each.size, b"x")) if each.size <= len(its) + 1000 else None)
    return sink.getvalue()


BY_ENDING: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": changed_json,
    ".jsonl": changed_lines,
    ".yaml": changed_yaml,
    ".parquet": changed_parquet,
    ".tar": changed_tar,
    ".csv": changed_cells,
    ".txt": changed_cells,
    ".xml": changed_xml,
    ".xmp": changed_xml,
}
