"""Miniature packages in the form of the real ones: the same files and fields, a few dozen pictures."""

import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

import yaml

from benchmarks.suite.drawing import from_svg
from benchmarks.suite.packages import Archive, Package

COUNT = 45
"""Pictures of a package; each of the three tags is on at least two thirds of them."""
TAGS = (["Arrow", "round_thing"], ["arrow", "sharp"], ["round-thing", "sharp", "*new*"])
SHAPES = (
    '<circle cx="{0}" cy="{1}" r="{2}" fill="currentColor"/>',
    '<rect x="{0}" y="{1}" width="{2}" height="{3}" fill="currentColor"/>',
    '<path d="M{0} {1}L{2} {3}L12 22Z" fill="none" stroke="currentColor" stroke-width="2"/>',
)


def svg(number: int) -> str:
    """A drawing of two shapes whose places follow the number."""
    digest = [b % 18 + 3 for b in hashlib.sha256(str(number).encode()).digest()]
    parts = SHAPES[number % 3].format(*digest[:4]) + SHAPES[(number // 3) % 3].format(*digest[4:8])
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{parts}</svg>'


def packed(files: Mapping[str, str] | Mapping[str, bytes]) -> bytes:
    """A package's archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def archive(files: Mapping[str, str] | Mapping[str, bytes], name: str = "mini") -> Archive:
    """An opened package."""
    return Archive(
        Package(name, "1.0.0", ""),
        packed({"LICENSE": b"as you like", **{n: c.encode() if isinstance(c, str) else c for n, c in files.items()}}),
    )


def names() -> list[str]:
    """Of icons: ``icon-7`` is a variant of no other; ``icon-0-outline`` is one of ``icon-0``, drawn differently."""
    return [f"icon{i}" if i else "icon1-outline" for i in range(COUNT)]


def drawn(number: int) -> str:
    """The drawing of a picture. The last but one is the same as the one before it, and the last is that turned."""
    base = svg(min(number, COUNT - 3))
    turned = base.replace('24 24">', '24 24"><g transform="rotate(90 12 12)">').replace("</svg>", "</g></svg>")
    return turned if number == COUNT - 1 else base


def icons() -> list[tuple[str, list[str], str]]:
    """Name, tags and drawing of each icon."""
    return [(name, TAGS[i % 3], drawn(i)) for i, name in enumerate(names())]


def mdi() -> list[Archive]:
    entries = [
        {"name": n, "aliases": ["old-name"], "tags": t, "baseIconId": n[:5] if n == "icon1-outline" else n, "deprecated": False}
        for n, t, _ in icons()
    ]
    gone = {"name": "gone", "aliases": [], "tags": ["arrow"], "baseIconId": "gone", "deprecated": True}
    return [archive({"meta.json": json.dumps([*entries, gone])} | {f"svg/{n}.svg": d for n, _, d in icons()})]


def tabler() -> list[Archive]:
    entries = {n: {"name": n, "category": "Things", "tags": t, "styles": {"outline": {}}} for n, t, _ in icons()}
    entries["filled-only"] = {"name": "filled-only", "category": "Things", "tags": [1], "styles": {"filled": {}}}
    return [archive({"icons.json": json.dumps(entries)} | {f"icons/outline/{n}.svg": d for n, _, d in icons()})]


def lucide() -> list[Archive]:
    return [archive({"tags.json": json.dumps({n: t for n, t, _ in icons()})} | {f"icons/{n}.svg": d for n, _, d in icons()})]


def phosphor() -> list[Archive]:
    head = (
        'var t = ((i) => (i.BOLD = "bold", i))(t || {}), e = /* @__PURE__ */ ((i) => (i.MAP = "maps & travel", i))(e || {}), '
    )
    head += 'a = ((i) => (i.MAP = "map", i))(a || {});\nconst n = [\n'
    entry = (
        '{{\n name: "{}",\n pascal_name: "X",\n categories: [e.MAP],\n figma_category: a.MAP,\n tags: [{}],\n codepoint: 1\n}}'
    )
    table = ",\n".join(entry.format(n, ", ".join(f'"{one}"' for one in t)) for n, t, _ in icons())
    return [archive({"dist/index.mjs": f"{head}{table}\n];"} | {f"assets/duotone/{n}-duotone.svg": d for n, _, d in icons()})]


def fontawesome() -> list[Archive]:
    entries = {n: {"search": {"terms": t}, "styles": ["solid", "regular"]} for n, t, _ in icons()}
    entries["brand"] = {"search": {"terms": None}, "styles": ["brands"]}
    categories = {"things": {"icons": names()[:30], "label": "Things"}}
    tables = {"metadata/icons.yml": yaml.safe_dump(entries), "metadata/categories.yml": yaml.safe_dump(categories)}
    return [archive(tables | {f"svgs-full/solid/{n}.svg": d for n, _, d in icons()})]


def healthicons() -> list[Archive]:
    entries = [
        {"id": n.replace("-", "_"), "category": "body", "path": f"body/{n.replace('-', '_')}", "tags": [*t, "dhis2:x"]}
        for n, t, _ in icons()
    ]
    drawings = {f"public/icons/svg/filled/{e['path']}.svg": d for e, (_, _, d) in zip(entries, icons(), strict=True)}
    return [archive({"public/icons/meta-data.json": json.dumps(entries)} | drawings)]


def merged() -> list[Archive]:
    return [*lucide(), *healthicons()]


EMOJI = [chr(0x1F400 + i) for i in range(COUNT)]


def emojilib() -> Archive:
    words = {e: ["an_animal", *t] for e, (_, t, _) in zip(EMOJI, icons(), strict=True)}
    words |= {"\U0001f1e9\U0001f1ea": ["flag_germany", "flag"], "\U0001f44d\U0001f3fb": ["thumbs_up", "arrow"]}
    return archive({"dist/emoji-en-US.json": json.dumps(words)})


@functools.cache
def fluent() -> list[Archive]:
    pictures = {f"assets/{ord(e):x}.webp": from_svg(d)()[0] for e, (_, _, d) in zip(EMOJI, icons(), strict=True)}
    extra = dict.fromkeys(("assets/1f1e9-1f1ea.webp", "assets/1f44d-1f3fb.webp"), b"")
    return [archive(pictures | extra), emojilib()]


def twemoji() -> list[Archive]:
    pictures = {f"{ord(e):x}.svg": d for e, (_, _, d) in zip(EMOJI, icons(), strict=True)}
    second = [{"hexcode": f"{ord(e):X}", "label": "animal", "tags": ["arrows", "sharp"]} for e in EMOJI]
    return [archive(pictures), emojilib(), archive({"en/data.json": json.dumps(second)})]
