"""Extra labels, groups and implications: the part ``labels`` of a recipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ctran.errors import UserError, nearest
from ctran.labels import Group, LabelSpace


@dataclass(frozen=True)
class GroupOptions:
    """One group of labels.

    Args:
        labels: names.
        exclusive: exactly one of them is positive in every picture.
    """

    labels: tuple[str, ...]
    exclusive: bool = False


@dataclass(frozen=True)
class Labels:
    """Extra labels, groups and implications, added to those of the source.

    Args:
        extra: labels, or whole groups, that may be known but are not evaluated (paper, Sec. 2).
        groups: labels that belong together, by name: {species: {exclusive: true, labels: [...]}}.
        implications: labels that a label implies: {poodle: [dog, animal]}. Predictions never contradict them.
            A name that is only on the right becomes a label too: it is present where one of its children is.
    """

    extra: tuple[str, ...] = ()
    groups: dict[str, GroupOptions] = field(default_factory=dict)
    implications: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def added(self, source: LabelSpace) -> tuple[str, ...]:
        """Parents that the source does not have, in the order in which they are named."""
        parents = (parent for parents in self.implications.values() for parent in parents)
        return tuple(dict.fromkeys(parent for parent in parents if parent not in source.index_of))

    def of(self, source: LabelSpace) -> LabelSpace:
        """The source's label space with these options; :meth:`added` labels follow the source's.

        Raises:
            UserError: a name that is not a label, or labels that contradict each other; the message names the key.
        """
        space = replace(source, names=(*source.names, *self.added(source)))
        groups = [self._group(name, options, space) for name, options in self.groups.items()]
        known = {*space.names, *(g.name for g in (*space.groups, *groups))}
        for name in self.extra:
            if name not in known:
                raise UserError(f"labels.extra: no label or group {name!r}{nearest(name, known)}")
        for child in self.implications:
            if child not in space.index_of:
                raise UserError(f"labels.implications: no label {child!r}{nearest(child, space.names)}")
        with _of_key("labels.groups"):
            replace(space, extra=()).extended((), groups)
        with _of_key("labels.extra"):
            space = space.extended(self.extra, groups)
        with _of_key("labels.implications"):
            pairs = ((child, parent) for child, parents in self.implications.items() for parent in parents)
            return space.extended((), (), pairs)

    @staticmethod
    def _group(name: str, options: GroupOptions, space: LabelSpace) -> Group:
        """One group, after a check that its labels exist."""
        for label in options.labels:
            if label not in space.index_of:
                raise UserError(f"labels.groups.{name}: no label {label!r}{nearest(label, space.names)}")
        with _of_key(f"labels.groups.{name}"):
            return Group(name, options.labels, options.exclusive)


@contextmanager
def _of_key(key: str) -> Iterator[None]:
    """Prefix errors with the key that they are about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
