"""What an edit of the labels changes: the labels and their rules, and entries of pictures. Nothing is stored here."""

from collections.abc import Iterator, Mapping

from ctran.constraints.rules import Constraints
from ctran.data.folder_labels import FolderLabels
from ctran.data.readers.cells import plain
from ctran.errors import UserError, nearest
from ctran.labelling.journal import Entry

Folder = Mapping[str, Mapping[str, bool]]
"""Picture -> its known labels."""
LONGEST = 200
"""Characters of a label's name."""


def clean(name: str) -> str:
    """A name as it is stored, without surplus blanks.

    Raises:
        UserError: empty, too long, or with characters that are not text.
    """
    found = " ".join(name.split())
    if not found:
        raise UserError("the name of a label is empty; type one")
    if len(found) > LONGEST:
        raise UserError(f"the name of a label has {len(found)} characters, at most {LONGEST} are possible")
    if bad := next((c for c in found if not c.isprintable()), None):
        raise UserError(f"label {found!r} holds the character {bad!r}, which is not text; correct the name")
    return found


def new_name(name: str, labels: FolderLabels) -> str:
    """A clean name that is not a label yet.

    Raises:
        UserError: it is one, or differs from one only by case or blanks.
    """
    name = clean(name)
    if same := next((each for each in labels.names if plain(each) == plain(name)), None):
        other = "" if same == name else f", which differs from {name!r} only by case"
        raise UserError(f"there is a label {same!r} already{other}")
    return name


def existing(name: str, labels: FolderLabels) -> str:
    """A name that is a label.

    Raises:
        UserError: it is none; the message suggests the nearest.
    """
    if name not in labels.names:
        raise UserError(f"there is no label {name!r}{nearest(name, labels.names)}")
    return name


def constraints_of(labels: FolderLabels) -> Constraints:
    """Rules of the labels, checked.

    Raises:
        UserError: they contradict each other, or name no label.
    """
    space = labels.space()
    return Constraints() if space is None else space.constraints


def renamed(labels: FolderLabels, known: Folder, old: str, new: str) -> tuple[FolderLabels, list[Entry]]:
    """A label with another name. A change of case alone is possible."""
    existing(old, labels)
    new = clean(new)
    if plain(new) != plain(old):
        new_name(new, labels)
    if new == old:
        return labels, []
    return labels.renamed(old, new), [e for name, yes in _having(known, old) for e in _moved(name, old, yes, new, None, yes)]


def merged(labels: FolderLabels, known: Folder, old: str, into: str) -> tuple[FolderLabels, list[Entry]]:
    """Two labels as one: present where one of them is, else absent where one of them is."""
    existing(old, labels)
    existing(into, labels)
    if old == into:
        raise UserError(f"{old!r} cannot be merged with itself; choose another label")
    entries = list[Entry]()
    for name, yes in _having(known, old):
        before = known[name].get(into)
        entries += _moved(name, old, yes, into, before, yes or bool(before))
    return labels.renamed(old, into), entries


def deleted(labels: FolderLabels, known: Folder, name: str) -> tuple[FolderLabels, list[Entry]]:
    """Without a label."""
    existing(name, labels)
    rest = labels.only([n for n in labels.names if n != name])
    return rest, [Entry(picture, name, yes, None) for picture, yes in _having(known, name)]


def others_absent(known: Mapping[str, bool], labels: FolderLabels, rules: Constraints) -> dict[str, bool]:
    """All labels of a picture whose other labels are absent.

    What follows from its labels comes first: a label that a present one implies is present. Of an exclusive group without a
    present label, and of what its labels imply, nothing is known to be absent, as one of its labels is present.
    """
    found = rules.follow(known)
    kept = {n for group in labels.groups.values() if not any(found.get(n) for n in group) for n in group}
    kept |= {parent for child, parent in rules.implications if child in kept}
    rest = [name for name in labels.names if name not in found and name not in kept]
    return {**known, **{n: yes for n, yes in found.items() if n in labels.names}, **dict.fromkeys(rest, False)}


def _having(known: Folder, label: str) -> Iterator[tuple[str, bool]]:
    return ((picture, labels[label]) for picture, labels in known.items() if label in labels)


def _moved(picture: str, old: str, was: bool, new: str, before: bool | None, after: bool) -> list[Entry]:
    """Entries that give a picture's label another name, under which it was ``before``."""
    moved = [] if before == after else [Entry(picture, new, before, after)]
    return [Entry(picture, old, was, None), *moved]
