"""XML files of users: every error names the file."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ctran.data.table import DataError


def read_xml(path: Path, what: str) -> ElementTree.Element:
    """The root element of a file.

    Args:
        path: the file.
        what: it is expected to be, for errors.

    Raises:
        DataError: not XML, or nested too deeply.
    """
    try:
        return ElementTree.fromstring(path.read_bytes())
    except (ElementTree.ParseError, RecursionError, ValueError, LookupError) as error:  # the last two of encodings
        raise DataError(f"{path}: not XML ({error}); expected {what}") from None


def text_at(element: ElementTree.Element, tag: str, where: str) -> str:
    """The text of a child without blanks around it.

    Raises:
        DataError: there is none, or it is empty.
    """
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise DataError(f"{where}: no text in <{tag}>")
    return text
