"""What is doubtful in an annotation and its pictures, before anything is trained on them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from ctran.constraints.rules import ContradictionError
from ctran.data.checked import Checked, check
from ctran.data.near import Print, groups_of, near_pairs, print_of, stratified
from ctran.data.notices import few
from ctran.data.readers.annotations import assign_splits
from ctran.data.readers.cells import plain
from ctran.data.reading import Reading
from ctran.data.rows import Annotated, Row
from ctran.data.table import DataError
from ctran.images.reading import BrokenImageError, open_image
from ctran.labels import LabelSpace
from ctran.progress import track

RARE = 5
"""A label should be present in at least so many training pictures."""
KINDS = {
    "broken picture": "a file that cannot be read as a picture",
    "contradiction": "labels of one picture that contradict a group or an implication",
    "same picture, other labels": "two files of the same content whose annotations differ",
    "leak": "the same picture, or nearly the same, in two splits: the figures of val and test are too good",
    "near duplicate": "pictures that are nearly the same, in one split",
    "rare label": f"present in fewer than {RARE} training pictures, or in none of val or test",
    "one-sided label": "known to be present everywhere or nowhere, so there is nothing to learn of it",
    "twins": "labels that are probably one: case, singular and plural, Unicode form, or on exactly the same pictures",
}
"""What is looked for, worst first."""


@dataclass(frozen=True)
class Finding:
    """One finding: its kind (of :data:`KINDS`), what it is, and the pictures and labels that it is about."""

    kind: str
    message: str
    pictures: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Examination:
    """An annotation whose pictures were opened once.

    Args:
        annotated: as :func:`ctran.data.conversion.read` gives it.
        labels: all of its labels, with groups and implications.
        reading: options of reading the pictures.
    """

    def __init__(self, annotated: Annotated, labels: LabelSpace, reading: Reading) -> None:
        self.annotated, self.labels = annotated, labels
        self.rows: Sequence[Row] = annotated.rows
        paths = [row.path for row in self.rows]
        self.checks: list[Checked] = check(paths, truncated=reading.truncated, white=reading.white)
        self.broken = {place: one.reason for place, one in enumerate(self.checks) if one.reason}

        def seen(place: int) -> Print | None:
            try:
                return None if place in self.broken else print_of(open_image(paths[place], truncated=reading.truncated))
            except BrokenImageError:
                return None

        with ThreadPoolExecutor() as pool:
            prints = pool.map(seen, range(len(paths)))
            self.prints = list(track(prints, "comparing pictures", len(paths)))

    @cached_property
    def digests(self) -> list[str]:
        """Of each picture's file; distinct for those that cannot be read."""
        return [one.digest or f"unread {place}" for place, one in enumerate(self.checks)]

    @cached_property
    def splits(self) -> list[str]:
        """The split of each picture, as training has it."""
        return assign_splits(self.rows, self.digests, self.broken)

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Near duplicates; files of the same content are among them."""
        first: dict[str, int] = {}
        same = [(first.setdefault(digest, place), place) for place, digest in enumerate(self.digests)]
        return sorted({*near_pairs(self.prints), *(pair for pair in same if pair[0] != pair[1])})

    def new_splits(self) -> dict[str, str]:
        """Id -> split: near duplicates together, every label with its share of each; broken pictures are left out.

        Raises:
            DataError: too few different pictures.
        """
        usable = [place for place in range(len(self.rows)) if place not in self.broken]
        groups = groups_of(len(self.rows), self.pairs)[usable].tolist()
        if len(set(groups)) < 3:
            raise DataError(f"splits need at least 3 different pictures, got {len(set(groups))}")
        rows = [self.rows[place] for place in usable]
        found = stratified(groups, [row.positives for row in rows], [row.id for row in rows])
        return {row.id: split for row, split in zip(rows, found, strict=True)}

    # ---------------------------------------------------------------- findings

    def findings(self) -> list[Finding]:
        """All of them, in the order of :data:`KINDS`."""
        found = [*self._broken(), *self._contradictions(), *self._same(), *self._near(), *self._rare(), *self._twins()]
        return sorted(found, key=lambda one: list(KINDS).index(one.kind))

    def _broken(self) -> Iterator[Finding]:
        for place, reason in self.broken.items():
            yield Finding("broken picture", f"{self.rows[place].where}: {reason}", (self.rows[place].id,))

    def _contradictions(self) -> Iterator[Finding]:
        """Of what the rows list; of an exclusive group also that a complete annotation has none of its labels."""
        rules, complete = self.labels.constraints, self.annotated.absent == "negative"
        for row in self.rows:
            known = dict.fromkeys(row.negatives, False) | dict.fromkeys(row.positives, True)
            try:
                found = rules.follow(known)
                for group in rules.groups if complete else ():
                    if not any(found.get(name) for name in group) and not set(group) & set(row.unknown):
                        raise ContradictionError(f"none of {few(group)}, one of which is in every picture")
            except ContradictionError as error:
                yield Finding("contradiction", f"{row.where}: {error}", (row.id,), row.positives)

    def _same(self) -> Iterator[Finding]:
        first: dict[str, int] = {}
        for place, digest in enumerate(self.digests):
            a, b = self.rows[first.setdefault(digest, place)], self.rows[place]
            differ = set(a.positives) ^ set(b.positives) | set(a.negatives) ^ set(b.negatives)
            if differ:
                message = f"{a.id!r} and {b.id!r} are the same file, and differ in {few(sorted(differ))}"
                yield Finding("same picture, other labels", message, (a.id, b.id), tuple(sorted(differ)))

    def _near(self) -> Iterator[Finding]:
        for a, b in self.pairs:
            ids = (self.rows[a].id, self.rows[b].id)
            how = "the same" if self.digests[a] == self.digests[b] else "nearly the same"
            if self.splits[a] != self.splits[b]:
                where = f"{ids[0]!r} in {self.splits[a]} and {ids[1]!r} in {self.splits[b]}"
                yield Finding("leak", f"{where} are {how}", ids)
            else:
                yield Finding("near duplicate", f"{ids[0]!r} and {ids[1]!r} in {self.splits[a]} are {how}", ids)

    def _rare(self) -> Iterator[Finding]:
        """Labels that are too rare, or of which one state is known alone."""
        present: dict[str, Counter[str]] = {name: Counter() for name in self.labels.names}
        absent: Counter[str] = Counter()
        for place, (_, known) in enumerate(self.annotated.known()):
            for name, state in known.items():
                if state:
                    present[name][self.splits[place]] += 1
                else:
                    absent[name] += 1
        for name, counts in present.items():
            if not counts or not absent[name]:
                never = "present" if not counts else "absent"
                yield Finding("one-sided label", f"{name!r} is known to be {never} in no picture", labels=(name,))
                continue
            lacks = [split for split in ("val", "test") if not counts[split]]
            if counts["train"] < RARE or lacks:
                numbers = ", ".join(f"{counts[split]:,} of {split}" for split in ("train", "val", "test"))
                yield Finding("rare label", f"{name!r} is present in {numbers}", labels=(name,))

    def _twins(self) -> Iterator[Finding]:
        counts, where = Counter[str](), dict[str, set[str]]()
        for row in self.rows:
            counts.update(row.positives)
            for name in row.positives:
                where.setdefault(name, set()).add(row.id)
        alike: dict[str, list[str]] = {}
        for name in self.labels.names:
            alike.setdefault(singular(name), []).append(name)
        for names in alike.values():
            if len(names) > 1:
                shown = ", ".join(f"{name!a} ({counts[name]:,} pictures)" for name in names)
                yield Finding("twins", f"{shown}: probably one label", labels=tuple(names))
        same: dict[frozenset[str], list[str]] = {}
        for name, pictures in where.items():
            if len(pictures) >= RARE:
                same.setdefault(frozenset(pictures), []).append(name)
        for pictures, names in same.items():
            if len(names) > 1:
                message = f"{few(names)} are on exactly the same {len(pictures):,} pictures"
                yield Finding("twins", message, labels=tuple(names))


_ENDINGS: Mapping[str, str] = {r"([^aeiou])ies$": r"\1y", r"(ss|x|z|ch|sh)es$": r"\1", r"([^sui])s$": r"\1"}
"""English plurals."""


def singular(name: str) -> str:
    """A name without case, blanks, hyphens, Unicode form and, for an English word, its plural."""
    text = re.sub(r"[\s_-]+", " ", plain(name))
    for ending, instead in _ENDINGS.items():
        if len(text) > 3 and re.search(ending, text):
            return re.sub(ending, instead, text)
    return text
