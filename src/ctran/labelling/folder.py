"""A folder of pictures that gets its labels: every change is in the journal at once, and in the folder's files at rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ctran.constraints.rules import Constraints, ContradictionError
from ctran.data.folder_labels import FolderLabels
from ctran.errors import UserError
from ctran.labelling import edits
from ctran.labelling.journal import Entry, Known, Step
from ctran.labelling.merging import merge
from ctran.labelling.on_disk import FolderOnDisk

Change = Mapping[str, bool | None]


@dataclass(frozen=True)
class Edit:
    """Changed labels of one picture.

    Args:
        picture: its name in the folder.
        change: label -> present, absent, or None for unknown.
        base: what these labels were for who changes them; None, or left out, for unknown.
    """

    picture: str
    change: Change
    base: Change


@dataclass(frozen=True)
class Undone:
    """What an undo did: the step's title, and how many entries stayed because somebody else has changed them since."""

    title: str
    kept: int


class LabelledFolder(FolderOnDisk):
    """A folder whose labels change; arguments of :class:`~ctran.labelling.on_disk.FolderOnDisk`."""

    def last(self, window: str) -> str | None:
        """Title of what an undo of this window would take back."""
        found = self._journal.last(window)
        return None if found is None else found[1].title

    # ---------------------------------------------------------------- changes

    def annotate(self, window: str, changes: Sequence[Edit], title: str = "") -> None:
        """Change labels of pictures: all, or nothing. Labels that are not there yet are added.

        Raises:
            ConflictError: a label is no longer what it was for this window, or contradicts one that is saved.
            UserError: no such picture, or labels that contradict each other.
        """
        with self._lock:
            names = [n for edit in changes for n, present in edit.change.items() if present is not None]
            fresh = [n for n in dict.fromkeys(names) if n not in self._labels.names]
            labels = self._labels
            for name in fresh:
                labels = replace(labels, names=(*labels.names, edits.new_name(name, labels)))
            entries = list[Entry]()
            for edit in changes:
                entries += self._entries(edit)
            self._do(window, title or _title(changes), labels, entries)

    def confirm(self, window: str, pictures: Sequence[str]) -> None:
        """Of each picture: all labels that are unknown are absent (:func:`ctran.labelling.edits.others_absent`)."""
        with self._lock:
            entries = list[Entry]()
            for name in pictures:
                before = self._known.get(self._picture(name), {})
                after = edits.others_absent(before, self._labels, self._rules)
                entries += [Entry(name, label, before.get(label), yes) for label, yes in after.items() if label not in before]
            self._do(window, "all others absent", self._labels, entries)

    def add_label(self, window: str, name: str) -> None:
        """A label that no picture has yet."""
        with self._lock:
            name = edits.new_name(name, self._labels)
            self._do(window, f"add “{name}”", replace(self._labels, names=(*self._labels.names, name)), [])

    def rename(self, window: str, old: str, new: str) -> None:
        """Another name for a label."""
        with self._lock:
            self._do(window, f"rename “{old}”", *edits.renamed(self._labels, self._known, old, new))

    def merge(self, window: str, old: str, into: str) -> None:
        """Two labels as one."""
        with self._lock:
            self._do(window, f"merge “{old}” into “{into}”", *edits.merged(self._labels, self._known, old, into))

    def delete(self, window: str, name: str) -> None:
        """Without a label."""
        with self._lock:
            self._do(window, f"delete “{name}”", *edits.deleted(self._labels, self._known, name))

    def set_rules(self, window: str, labels: FolderLabels) -> None:
        """Other rules for the labels that are there (their names are not changed)."""
        with self._lock:
            self._do(window, "rules", replace(labels, names=self._labels.names), [])

    def undo(self, window: str) -> Undone | None:
        """Take the last step of a window back; None where there is none.

        Entries that somebody else has changed since stay as they are.

        Raises:
            UserError: the step changed the labels, and they were changed again since by another window.
        """
        with self._lock:
            found = self._journal.last(window)
            if found is None:
                return None
            number, step = found
            now = [e for e in step.entries if self._known.get(e.picture, {}).get(e.label) == e.after]
            known = self._applied([Entry(e.picture, e.label, e.after, e.before) for e in reversed(now)])
            labels = self._labels if step.labels is None else self._labels_before(step, known)
            self._check(known, edits.constraints_of(labels))
            self._journal.undone(number, known, {"labels": labels.as_dict()})
            self._become(labels, known)
            return Undone(step.title, len(step.entries) - len(now))

    def _labels_before(self, step: Step, known: Mapping[str, Known]) -> FolderLabels:
        """The labels without what a step changed of them; those that a picture has then stay.

        Raises:
            UserError: they were changed again since, by more than new labels.
        """
        assert step.labels is not None
        before, after = (FolderLabels.from_dict(each, f"{self._journal.path}, {step.title}") for each in step.labels)
        used = {n for name, each in ({**self._known, **known}).items() for n in each}
        found = before
        if self._labels != after:
            if replace(after, names=before.names) != before:
                raise UserError(f"{step.title} cannot be undone: another window has changed the labels since")
            found = self._labels.only([n for n in self._labels.names if n in before.names or n not in after.names or n in used])
        return replace(found, names=tuple(dict.fromkeys((*found.names, *(n for n in self._labels.names if n in used)))))

    def _entries(self, edit: Edit) -> list[Entry]:
        saved = self._known.get(self._picture(edit.picture), {})
        base = {n: yes for n in edit.change if (yes := edit.base.get(n)) is not None}
        yours = {n: yes for n, yes in edit.change.items() if yes is not None}
        self._rules.follow(yours)  # refuses what contradicts itself
        after = merge(base, yours, saved, self._contradicts)
        return [Entry(edit.picture, n, saved.get(n), after.get(n)) for n in edit.change if saved.get(n) != after.get(n)]

    def _picture(self, name: str) -> str:
        if name not in self._places:
            raise UserError(f"{self.folder} has no picture {name!r}")
        return name

    def _do(self, window: str, title: str, labels: FolderLabels, entries: Sequence[Entry]) -> None:
        """Store a step and show it, unless it changes nothing."""
        changed = labels != self._labels
        if not changed and not entries:
            return
        known = self._applied(entries)
        if changed:
            rules = edits.constraints_of(labels)
            self._check({name: known.get(name, each) for name, each in self._known.items()} | known, rules)
        pair = (self._labels.as_dict(), labels.as_dict()) if changed else None
        self._journal.record(Step(window, title, tuple(entries), pair), known, {"labels": labels.as_dict()} if changed else {})
        self._become(labels, known)

    def _applied(self, entries: Sequence[Entry]) -> dict[str, Known]:
        """Known labels of the pictures that entries change."""
        known = dict[str, Known]()
        for entry in entries:
            found = known.setdefault(entry.picture, dict(self._known.get(entry.picture, {})))
            found.pop(entry.label, None)
            if entry.after is not None:
                found[entry.label] = entry.after
        return known

    def _check(self, known: Mapping[str, Known], rules: Constraints) -> None:
        for name, each in known.items():
            try:
                rules.follow(each)
            except ContradictionError as error:
                raise UserError(f"{name}: {error}; correct the labels of this picture first") from None


def _title(changes: Sequence[Edit]) -> str:
    """What changed, for people."""
    words = {True: "present", False: "absent", None: "unknown"}
    texts = list(dict.fromkeys(f"“{n}” {words[yes]}" for edit in changes for n, yes in edit.change.items()))
    more = f" in {len(changes)} pictures" if len(changes) > 1 else ""
    return f"{', '.join(texts[:2])}{', ...' if len(texts) > 2 else ''}{more}"
