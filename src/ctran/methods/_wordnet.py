"""The nouns of WordNet, read from the files of its database: what is a kind of what, and how alike two senses are."""

import re
from functools import cached_property
from pathlib import Path

from ctran.errors import UserError

PLACE = "/usr/share/wordnet of Debian's package wordnet-base, or the folder dict of WordNet 3"
ENDINGS = (("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"))
ENDINGS += (("ies", "y"),)
"""Regular plurals, WordNet's own rules for nouns."""


class Nouns:
    """Senses are the numbers by which WordNet's files call them.

    Args:
        folder: with ``index.noun`` and ``data.noun``.

    Raises:
        UserError: the files are not there.

    Source: the manual pages wndb(5WN) and morphy(7WN).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if missing := [name for name in ("index.noun", "data.noun") if not (folder / name).is_file()]:
            raise UserError(f"model.wordnet: {folder} has no {' and no '.join(missing)}; give {PLACE}")
        self._above: dict[int, tuple[int, ...]] = {}
        self._ancestors: dict[int, dict[int, int]] = {}
        self._depths: dict[tuple[int, bool], int] = {}

    @cached_property
    def _senses(self) -> dict[str, list[int]]:
        """Word, in lower case and with underscores -> its senses, the most frequent first."""
        found = {}
        with (self.folder / "index.noun").open(encoding="latin-1") as lines:
            for line in lines:
                if not line.startswith(" "):  # the licence
                    fields = line.split()
                    found[fields[0]] = [int(each) for each in fields[-int(fields[2]) :]]
        return found

    def sense(self, name: str) -> int | None:
        """The sense that NLTK calls ``hot_dog.n.02``; of other names, the first of that word or, in its stead, its singular.

        None where WordNet has no such word, or not so many senses of it.
        """
        named = re.fullmatch(r"(.+)\.n\.(\d+)", name)
        word, number = (named[1], int(named[2])) if named else ("_".join(name.lower().split()), 1)
        words = [word] if named else [word, *self._singulars(word)]
        senses = next((self._senses[each] for each in words if each in self._senses), [])
        return senses[number - 1] if 0 < number <= len(senses) else None

    def _singulars(self, word: str) -> list[str]:
        return [word.removesuffix(plural) + end for plural, end in ENDINGS if word.endswith(plural)]

    def above(self, sense: int) -> tuple[int, ...]:
        """What the sense is a kind or an instance of, one level up.

        Raises:
            UserError: the file is damaged, or not of the same version as the index.
        """
        if sense not in self._above:
            with (self.folder / "data.noun").open("rb") as file:
                file.seek(sense)
                fields = file.readline().decode("latin-1").partition("|")[0].split()
            if not fields or fields[0] != f"{sense:08}":
                raise UserError(f"model.wordnet: data.noun and index.noun of {self.folder} do not belong together")
            first = 4 + 2 * int(fields[3], 16)  # after the words
            pointers = [fields[first + 1 + 4 * i :][:4] for i in range(int(fields[first]))]
            self._above[sense] = tuple(int(to) for kind, to, *_ in pointers if kind in ("@", "@i"))
        return self._above[sense]

    def ancestors(self, sense: int) -> dict[int, int]:
        """Everything that the sense is a kind of, and itself -> the least number of levels up to it."""
        if sense not in self._ancestors:
            found, level, steps = dict[int, int](), [sense], 0
            while level:
                found |= dict.fromkeys(level, steps)
                level = [up for each in level for up in self.above(each) if up not in found]
                steps += 1
            self._ancestors[sense] = found
        return self._ancestors[sense]

    def depth(self, sense: int, *, longest: bool) -> int:
        """Levels down from the root, which has 0, along the longest or the shortest path."""
        if (sense, longest) not in self._depths:
            above = [self.depth(up, longest=longest) for up in self.above(sense)]
            self._depths[sense, longest] = (1 + (max if longest else min)(above)) if above else 0
        return self._depths[sense, longest]

    def similarity(self, one: int, other: int) -> float:
        r"""Wu and Palmer's similarity, above 0 and at most 1:

        .. math:: \frac{2 d}{2 d + n_1 + n_2}

        d is 1 more than the depth of the deepest common ancestor, :math:`n_i` the levels between each sense and it, on the
        shortest path up and down again. 0 without a common ancestor. As in NLTK, the deepest is that with the longest of the
        shortest paths to the root, and d is that of its longest path. Of several such, the one of greatest d, where NLTK takes
        the first by name.

        Source: Wu and Palmer, Verb semantics and lexical selection, ACL 1994.
        """
        first, second = self.ancestors(one), self.ancestors(other)
        common = [(self.depth(each, longest=False), self.depth(each, longest=True), each) for each in first.keys() & second]
        if not common:
            return 0.0
        _, depth, ancestor = max(common)
        top = self.ancestors(ancestor)
        between = sum(min(levels[each] + steps for each, steps in top.items()) for levels in (first, second))
        return 2 * (depth + 1) / (2 * (depth + 1) + between)
