"""``labels.yaml`` beside a folder's rows: the labels in their order, exclusive groups and implications."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ctran.data.table import DataError
from ctran.errors import UserError, shown
from ctran.files import write_text
from ctran.labels import Group, LabelSpace
from ctran.textfile import read_text

FILE = "labels.yaml"
_KEYS = ("labels", "groups", "implications", "others_absent")


@dataclass(frozen=True)
class FolderLabels:
    """Labels of a folder and their rules.

    Args:
        names: in the order of the page; there may be none yet.
        groups: name of each exclusive group -> its labels.
        implications: label -> labels that it implies.
        others_absent: labels that are not ticked are absent in a picture that is confirmed.
    """

    names: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    implications: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others_absent: bool = False

    def space(self) -> LabelSpace | None:
        """The label space; None without a label.

        Raises:
            UserError: the rules contradict each other, or name no label.
        """
        if not self.names:
            return None
        pairs = tuple((child, parent) for child, parents in self.implications.items() for parent in parents)
        return LabelSpace(self.names, (), tuple(Group(n, labels, True) for n, labels in self.groups.items()), pairs)

    def on(self, space: LabelSpace) -> LabelSpace:
        """A label space with those of the rules whose labels it has."""
        kept = self.only(space.index_of).space()
        return space if kept is None else space.extended((), kept.groups, kept.implications)

    def only(self, names: Collection[str]) -> "FolderLabels":
        """These of the labels alone; a group of which less than two are left is left out."""
        groups = {group: tuple(n for n in labels if n in names) for group, labels in self.groups.items()}
        implied = {c: tuple(p for p in parents if p in names) for c, parents in self.implications.items() if c in names}
        return replace(
            self,
            names=tuple(n for n in self.names if n in names),
            groups={group: labels for group, labels in groups.items() if len(labels) > 1},
            implications={child: parents for child, parents in implied.items() if parents},
        )

    def renamed(self, old: str, new: str) -> "FolderLabels":
        """With another name for a label; where the other name is a label already, the two are one."""

        def of(names: Collection[str]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(new if name == old else name for name in names))

        implied: dict[str, tuple[str, ...]] = {}
        for child, parents in self.implications.items():
            child = new if child == old else child
            implied[child] = tuple(n for n in of((*implied.get(child, ()), *parents)) if n != child)
        groups = {group: of(labels) for group, labels in self.groups.items()}
        return replace(self, names=of(self.names), groups=groups, implications=implied).only(of(self.names))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in the form of the file."""
        return {
            "labels": list(self.names),
            "groups": {name: {"exclusive": True, "labels": list(labels)} for name, labels in self.groups.items()},
            "implications": {child: list(parents) for child, parents in self.implications.items()},
            "others_absent": self.others_absent,
        }

    @classmethod
    def from_dict(cls, content: Any, where: str = FILE) -> "FolderLabels":
        """The reverse of :meth:`as_dict`; all keys may be left out.

        Raises:
            DataError: another form, or rules that contradict each other; the message names the key.
        """
        content = _mapping({} if content is None else content, where)
        if unknown := [key for key in content if key not in _KEYS]:
            raise DataError(f"{where}: unknown key {shown(unknown[0])}, expected {', '.join(_KEYS)}")
        groups = dict[str, tuple[str, ...]]()
        for name, group in _mapping(content.get("groups") or {}, f"{where}, groups").items():
            at = f"{where}, groups.{name}"
            group = _mapping(group, at)
            if group.get("exclusive", True) is not True:
                raise DataError(f"{at}: groups of a folder are exclusive; leave this one out, or set exclusive: true")
            groups[str(name)] = _names(group.get("labels"), f"{at}.labels")
        implied = _mapping(content.get("implications") or {}, f"{where}, implications")
        implications = {str(child): _names(parents, f"{where}, implications.{child}") for child, parents in implied.items()}
        listed = _names(content.get("labels") or [], f"{where}, labels")
        ruled = [*(n for labels in groups.values() for n in labels), *implications, *sum(implications.values(), ())]
        others = content.get("others_absent", False)
        if not isinstance(others, bool):
            raise DataError(f"{where}: others_absent must be true or false, got {shown(others)}")
        found = cls(tuple(dict.fromkeys((*listed, *ruled))), groups, implications, others)
        try:
            found.space()
        except UserError as error:
            raise DataError(f"{where}: {error}") from None
        return found

    @classmethod
    def read(cls, folder: Path) -> "FolderLabels":
        """Those of a folder; without the file, none."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            content = yaml.safe_load(read_text(path, DataError))
        except RecursionError:
            raise DataError(f"{path}: YAML that is nested too deeply to be read") from None
        except (yaml.YAMLError, ValueError, TypeError, LookupError) as error:  # all but the first of values such as 2001-99-99
            if isinstance(error, UserError):
                raise
            raise DataError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
        return cls.from_dict(content, str(path))

    def write(self, folder: Path) -> None:
        """Replace the file of a folder."""
        write_text(folder / FILE, yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True))


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: expected keys and values, got {shown(value)}")
    return value


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or any(not isinstance(name, str) or not name.strip() for name in value):
        raise DataError(f"{where}: expected a list of names, got {shown(value)}; quote names that YAML reads as something else")
    return tuple(value)
