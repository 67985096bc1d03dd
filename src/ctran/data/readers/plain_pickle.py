"""Pickles of plain containers, read without running code in them.

Unpickling imports and calls whatever the file names, so a file from elsewhere may run any code. Here nothing is imported.
"""

import pickle
from pathlib import Path
from typing import Any, NoReturn

from ctran.data.table import DataError


class _PlainUnpickler(pickle.Unpickler):
    """Numbers, text, lists, tuples, dicts and sets; whatever would import something is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain lists, dicts, text and numbers are read")


def unpickle(path: Path) -> Any:
    """The content of a pickle of plain containers.

    Raises:
        DataError: it holds anything else, or is not a pickle.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except Exception as error:  # a broken pickle raises nearly anything
        raise DataError(f"{path} cannot be read as a pickle of plain containers: {error}") from None
