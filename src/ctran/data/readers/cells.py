"""A cell of an annotation file: label names in the notations that tools write, and the values of a wide table.

One reader for all sources and for the studio. Impossible cells are refused, with file, row and what to do; doubtful ones are
counted for a warning.
"""

import ast
import io
import json
import math
import tokenize
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from ctran.data.notices import Doubts
from ctran.data.table import DataError
from ctran.errors import UserError
from ctran.textfile import parse_json

_JOINERS = ("|", ";", ",", "\t", "\n", "，", "、", "；")
"""Characters between labels that no single name has."""
_LOOSE = (" ", "/", "+", "&")
"""Characters between labels that names have as well."""
MISSING = ("nan", "NaN", "null", "NULL", "None", "NA", "N/A", "#N/A", "<NA>")
"""What tools write for a missing value, and what may also be a name."""
PRINTED = ("array(", "np.array(", "Index(", "Series(", "frozenset(", "set(", "list(")
"""How printed Python objects start."""
_LISTED = 'write a list as JSON (["cat", "dog"]), or names with a delimiter between them (cat,dog)'
"""What to do about a cell that is not a list."""
CONVERT = "df['labels'] = [json.dumps(list(v)) for v in df['labels']] before to_csv, or save as Parquet"
"""What to do where a table's lists were printed by NumPy."""


def names_of(cell: Any, delimiter: str, where: str, doubts: Doubts | None = None) -> tuple[str, ...]:
    """Label names of one cell, in their order, each once; may be empty.

    A list of names as a table holds it; or text: a JSON list, a Python list or tuple or set of quoted names, Label Studio's
    ``{"choices": [...]}``, or names with a delimiter between them. Blanks around names do not count.

    Args:
        cell: as read; None and NaN are missing.
        delimiter: between the names of a text that is not a list.
        where: file and row, as errors name them.
        doubts: counts what is doubtful: empty entries, duplicate names, missing cells.

    Raises:
        DataError: text that starts like a list, tuple or object and is not one; names without a comma between them
            (``['cat' 'dog']``, as NumPy prints them); entries that are not names: numbers, true, null, lists.
    """
    doubts = doubts or Doubts()
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        doubts.add("labels are missing here (null); read as: no label is listed", where)
        return ()
    entries = _entries(cell, delimiter, where, doubts)
    names = [_name(entry, where) for entry in entries]
    if "" in names and names != [""]:
        doubts.add("an empty entry between or after labels is ignored", where)
    names = [name for name in names if name]
    if len(set(names)) < len(names):
        duplicate = next(n for n in names if names.count(n) > 1)
        doubts.add("a label is listed twice in one row", f"{where} ({duplicate!r})")
    return tuple(dict.fromkeys(names))


def _entries(cell: Any, delimiter: str, where: str, doubts: Doubts) -> list[Any]:
    """The entries of a cell, not checked yet."""
    if isinstance(cell, dict):
        return _choices(cell, where)
    if isinstance(cell, list | tuple):
        return list(cell)
    if not isinstance(cell, str):
        raise DataError(f"{where}: labels must be a list of names or one string, got {cell!r}{_numbered(cell)}")
    text = cell.strip()
    if text.startswith(PRINTED):
        raise DataError(f"{where}: {_short(text)} is a printed Python object, not a list of labels; {CONVERT}")
    if text[:1] in ("[", "{", "("):
        return _listed(text, where)
    entries = text.split(delimiter)
    for entry in map(str.strip, entries):
        if len(entry) > 1 and entry[0] == entry[-1] and entry[0] in "'\"":
            raise DataError(f"{where}: {_short(text)}: label {entry} is in quotes; remove them, or {_LISTED}")
        if any(entry.count(a) != entry.count(b) for a, b in ("[]", "{}")):
            raise DataError(f"{where}: {_short(text)}: {entry!r} is a piece of a list, not a label; {_LISTED}")
    if text in MISSING:
        doubts.add(f"{text!r} is read as a label of that name; leave the cell empty if it means that labels are missing", where)
    return entries


def _name(entry: Any, where: str) -> str:
    """An entry as a name."""
    if not isinstance(entry, str):
        kind = "a list inside a list" if isinstance(entry, list | tuple | dict | set) else "not a name"
        raise DataError(f"{where}: labels must be a list of names, got {entry!r}, which is {kind}{_numbered(entry)}")
    if unwritable := next((c for c in entry if c == "\0" or "\ud800" <= c <= "\udfff"), None):
        raise DataError(f"{where}: label {entry!r} holds the character {unwritable!r}, which is not text; correct the name")
    return entry.strip()


def _numbered(value: Any) -> str:
    """What to do where a number is given as a label."""
    return "; write names instead of class numbers or 0 / 1" if isinstance(value, int | float) else ""


def _listed(text: str, where: str) -> list[Any]:
    """Entries of a JSON list or of Label Studio's object, or else of a Python list, tuple or set of quoted names.

    JSON is tried first: Python would join adjacent strings, and spells true, false and null differently.
    """
    try:
        value = parse_json(text, where, DataError, distinct=True)
    except DataError:
        value = _literal(text, where)
    if isinstance(value, dict):
        return _choices(value, where)
    return sorted(value, key=str) if isinstance(value, set) else list(value)


def _choices(value: dict[str, Any], where: str) -> list[Any]:
    """Entries of Label Studio's ``{"choices": [...]}``; a single choice is a string."""
    if set(value) != {"choices"}:
        raise DataError(
            f'{where}: {_short(value)} is not a list of labels; expected names, or {{"choices": [...]}} as in exports of Label '
            "Studio, a whole one of which is read with --source labelstudio"
        )
    choices = value["choices"]
    return choices if isinstance(choices, list) else [choices]


def _literal(text: str, where: str) -> Any:
    """A Python list, tuple, set or dictionary without adjacent strings."""
    refused = f"{where}: {_short(text)} starts like a list but is none; {_LISTED}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in names
            tree = ast.parse(text, mode="eval").body
            value = ast.literal_eval(tree)
        tokens = [t.type for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type != tokenize.NL]
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError, tokenize.TokenError):
        raise DataError(f"{refused}. Of a data frame: {CONVERT}") from None
    if any(a == b == tokenize.STRING for a, b in pairwise(tokens)):
        raise DataError(
            f"{where}: {_short(text)} has no comma between labels, as NumPy prints lists and pandas saves them; {CONVERT}"
        )
    if not isinstance(value, list | tuple | set | dict) or (isinstance(tree, ast.Dict) and len(tree.keys) > len(value)):
        raise DataError(refused)
    return value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


class Joined:
    """Checks the text cells of a column for labels that another delimiter seems to join.

    Args:
        delimiter: at which the cells are split.
    """

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.cells: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, cell: Any, where: str) -> None:
        """Add one cell; anything but delimited text is ignored."""
        if isinstance(cell, str) and (text := cell.strip()) and text[0] not in "[({":
            self.cells[text] += 1
            self.first.setdefault(text, where)

    def hint(self, option: str) -> str | None:
        """What to try instead, naming an example; None where the delimiter fits.

        A character of :data:`_JOINERS` that more cells have than the delimiter; one of :data:`_LOOSE` if no cell has the
        delimiter, and all parts of a cell are found in others too.
        """
        own = sum(self.delimiter in text for text in self.cells)
        best, held = "", max(own, 0)
        for joiner in _JOINERS:
            count = sum(joiner in text for text in self.cells)
            if count > held and joiner != self.delimiter and joiner.strip() != self.delimiter.strip():
                best, held = joiner, count
        if not best and not own:
            best = next((joiner for joiner in _LOOSE if joiner not in self.delimiter and self._recombined(joiner)), "")
        if not best:
            return None
        text = next(text for text in self.cells if best in text)
        shown = {"\t": "\\t", "\n": "\\n"}.get(best, best)
        return f"{self.first[text]}: label {text!r} may be several; did you mean {option} '{shown}'?"

    def _recombined(self, joiner: str) -> bool:
        """Whether a cell consists of parts that each occur in another cell."""
        parts = {text: [p for p in map(str.strip, text.split(joiner)) if p] for text in self.cells}
        seen = Counter(part for found in parts.values() for part in set(found))
        return any(len(set(found)) > 1 and all(seen[part] > 1 for part in found) for found in parts.values())


_YES = ("true", "t", "yes", "y")
_NO = ("false", "f", "no", "n")
_BLANK = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none")


def value_of(cell: str, where: str, column: str) -> int | None:
    """A cell of a wide table: 1 present, 0 absent, -1 uncertain, None not stated.

    Raises:
        DataError: anything else than :func:`state_of` reads; it names file, row and column.
    """
    try:
        return state_of(cell)
    except UserError as error:
        ignore = json.dumps([column], ensure_ascii=False)
        raise DataError(
            f"{where}, column {column!r}: {error}. If the column is not a label: --data.ignore_columns '{ignore}'; if it names "
            f"the split: --data.split_column {column!r}"
        ) from None


def state_of(cell: str) -> int | None:
    """1 present, 0 absent, -1 uncertain, None not stated.

    ``1`` and ``0`` in any notation of numbers; true, yes, t, y and false, no, f, n in any case; ``-1`` is what CheXpert writes
    for uncertain; blank, NaN, NA, null are not stated.

    Raises:
        UserError: anything else; the message has neither file nor row.
    """
    text = cell.strip().lower()
    if text in _BLANK:
        return None
    if text in _YES or text in _NO:
        return int(text in _YES)
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if number not in (1, 0, -1):
        raise UserError(f"expected 1, 0 or blank, got {cell!r} (yes / no, true / false, and -1 for uncertain are read too)")
    return int(number)


def near_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only by case, blanks, Unicode form or invisible characters."""
    first: dict[str, str] = {}
    pairs = []
    for name in names:
        other = first.setdefault(plain(name), name)
        if other != name:
            pairs.append((other, name))
    return pairs


def plain(name: str) -> str:
    """A name normalised in case, Unicode form and blanks, without invisible characters."""
    if name.isascii():
        return " ".join(name.lower().split())
    text = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())
