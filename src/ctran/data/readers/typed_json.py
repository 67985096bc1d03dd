"""JSON as typed records, with errors that name the file."""

from pathlib import Path
from typing import TypeVar

import msgspec

from ctran.data.table import DataError

T = TypeVar("T")


def decode_json(content: bytes, kind: type[T], path: Path, mismatch: str, broken: str) -> T:
    """The content of a file as typed records.

    Args:
        content: of the file.
        kind: of the records.
        path: the file, for errors.
        mismatch: sentence that follows the error where the records are of another kind.
        broken: sentence that follows it where the content is not JSON.

    Raises:
        DataError: not JSON, or other records; with file and place.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}. {mismatch}") from None
    except RecursionError:
        raise DataError(f"{path}: JSON that is nested too deeply to be read") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}. {broken}") from None
