"""Keywords of photographs: XMP in the file or beside it, and IPTC in the file."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, IptcImagePlugin

from ctran.data.readers.xml_files import read_xml
from ctran.images.reading import BrokenImageError

DC, RDF = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PATHS = {
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject": "|",
    "{http://www.digikam.org/ns/1.0/}TagsList": "/",
}
"""Fields with a keyword's path, and what is between its parts."""
_IPTC = (2, 25)


def sidecars(picture: Path) -> list[Path]:
    """Names that a file of XMP beside a picture may have: ``a.jpg.xmp`` (digiKam, darktable), ``a.xmp`` (Lightroom)."""
    return [picture.with_name(f"{stem}{end}") for stem in (picture.name, picture.stem) for end in (".xmp", ".XMP")]


def keywords_of(picture: Path, *, hierarchy: bool) -> tuple[str, ...] | None:
    """Keywords of a picture, each once; None where nothing in or beside the file has a field for them.

    A sidecar replaces what is in the file.

    Args:
        picture: the file.
        hierarchy: all parts of a keyword's path are keywords.

    Raises:
        DataError: a sidecar that is not XMP.
        BrokenImageError: a picture without a sidecar that cannot be opened.
    """
    for path in sidecars(picture):
        if path.is_file():
            return _of_xmp(read_xml(path, "XMP"), hierarchy)
    try:
        with Image.open(picture) as opened:
            packet = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
            iptc = IptcImagePlugin.getiptcinfo(opened) if opened.format in ("JPEG", "TIFF") else None
    except Exception as error:  # whatever Pillow raises of a damaged file
        raise BrokenImageError(f"{picture}: {error}") from None
    found = None
    if packet:
        try:
            content = packet if isinstance(packet, bytes) else packet.encode()
            found = _of_xmp(ElementTree.fromstring(content.strip(b"\0 \n\r")), hierarchy)
        except (ElementTree.ParseError, RecursionError, ValueError, LookupError):
            found = None
    return found if found is not None else _of_iptc(iptc)


def _of_xmp(root: ElementTree.Element, hierarchy: bool) -> tuple[str, ...] | None:
    """Keywords of an XMP document; None without a field for them."""
    fields = list(root.iter(f"{DC}subject"))
    paths = [(field, mark) for tag, mark in _PATHS.items() for field in root.iter(tag)] if hierarchy else []
    if not fields and not paths:
        return None
    names = [name for field in fields for name in _items(field)]
    names += [part for field, mark in paths for path in _items(field) for part in path.split(mark)]
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _items(field: ElementTree.Element) -> Iterator[str]:
    """Texts of a bag or sequence."""
    return (item.text or "" for item in field.iter(f"{RDF}li"))


def _of_iptc(fields: object) -> tuple[str, ...] | None:
    """Keywords of IPTC, in UTF-8 or, as old programs wrote them, Latin-1."""
    held = fields.get(_IPTC) if isinstance(fields, dict) else None
    if held is None:
        return None
    names = []
    for item in held if isinstance(held, list) else [held]:
        try:
            names.append(item.decode())
        except UnicodeDecodeError:
            names.append(item.decode("latin-1"))
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip("\0 ")))


def xmp_of(names: tuple[str, ...]) -> bytes:
    """A sidecar with these keywords."""
    for prefix, uri in (("x", "adobe:ns:meta/"), ("rdf", RDF[1:-1]), ("dc", DC[1:-1])):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.Element("{adobe:ns:meta/}xmpmeta")
    about = ElementTree.SubElement(ElementTree.SubElement(root, f"{RDF}RDF"), f"{RDF}Description", {f"{RDF}about": ""})
    bag = ElementTree.SubElement(ElementTree.SubElement(about, f"{DC}subject"), f"{RDF}Bag")
    for name in names:
        ElementTree.SubElement(bag, f"{RDF}li").text = name
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
