"""Photographs with keywords: in a sidecar of digiKam, in one of Lightroom, as XMP and as IPTC in the file."""

import io
import struct
from pathlib import Path

from PIL import Image

from tests.data.miniatures import imagefolder

MISSING = ()
HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'


def xmp(names: list[str]) -> str:
    """As digiKam (exiv2) writes it."""
    items = "".join(f"<rdf:li>{name}</rdf:li>" for name in names)
    space = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    about = '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    body = f"{about}<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject></rdf:Description>"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2"><rdf:RDF {space}>{body}</rdf:RDF></x:xmpmeta>'


def iptc(names: list[str]) -> bytes:
    """The segment APP13 of Photoshop with IPTC keywords."""
    records = b"".join(b"\x1c\x02\x19" + struct.pack(">H", len(name.encode())) + name.encode() for name in names)
    padded = records + b"\0" * (len(records) % 2)
    body = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + padded
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "2024").mkdir()
    for number, (name, (colours, _)) in enumerate(imagefolder.pictures(root).items()):
        path = root / "2024" / f"{name[:-4]}.jpg"
        picture, buffer = Image.open(root / name), io.BytesIO()
        kind = number % 4
        picture.save(buffer, "JPEG", **({"xmp": f'{HEAD}{xmp(colours)}<?xpacket end="w"?>'.encode()} if kind == 2 else {}))
        content = buffer.getvalue()
        path.write_bytes(content[:2] + iptc(colours) + content[2:] if kind == 3 else content)
        if kind < 2:
            path.with_name((path.name, path.stem)[kind] + ".xmp").write_text(f'{HEAD}{xmp(colours)}<?xpacket end="w"?>')
        (root / name).unlink()
    (root / "2024/plain.jpg").write_bytes(content)
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    path = root / "2024/00.jpg.xmp"
    path.write_text(path.read_text()[:-40])
    return r"00.jpg.xmp: not XML"
