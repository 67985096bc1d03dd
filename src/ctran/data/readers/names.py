"""Label names in a file: text with one name a line, or the ``labels.json`` of a model."""

from pathlib import Path

from ctran.data.table import DataError
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.textfile import read_text


def read_labels(path: Path, count: int | None = None) -> LabelSpace:
    """The names in their order; from a ``labels.json`` with its extra labels and groups.

    White space around a name and empty lines at the end do not count.

    Args:
        path: a ``labels.json`` if it ends in ``.json``, otherwise UTF-8 text.
        count: how many names there must be; None takes any number.

    Raises:
        DataError: a missing file, another format, an empty or duplicate name, or not ``count`` names.
    """
    if not path.is_file():
        raise DataError(f"{path} not found; expected a text file with one name a line, or the labels.json of a model")
    try:
        if path.suffix == ".json":
            labels = LabelSpace.load(path)
        else:
            lines = read_text(path, DataError).rstrip().splitlines()
            labels = LabelSpace(tuple(line.strip() for line in lines))
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # of JSON, UTF-8 and LabelSpace
        what = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: expected one name a line, or the labels.json of a model ({what})") from None
    if count is not None and len(labels) != count:
        raise DataError(f"{path}: expected {count:,} names, found {len(labels):,}")
    return labels
