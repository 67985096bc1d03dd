"""From captions to lemmas, and to a vocabulary of the commonest ones: the recipe of COCO-1000, which Feedback-prop published.

Lower-case, NLTK's ``word_tokenize``, WordNet's lemma of each token as a noun. The vocabulary is the lemmas most frequent in
the training captions, without English stop words and single punctuation marks. Source: uvavision/feedbackprop,
``coco_multilabel/data_loader.py``; QData/C-Tran, ``dataloaders/coco1000_dataset.py``.

Two things to know. Stop words are dropped after lemmatization, so "was" and "has" remain as "wa" and "ha", in the published
vocabulary too. And words may change with NLTK's version, which is why a run keeps its vocabulary in a file.

``word_tokenize`` cuts a text into sentences (Punkt), then each into words. Punkt's trained model is a separate download and
matters little here: the cut decides whether a full stop inside a caption is a token or the end of a word. So Punkt runs without
a model, by its rules alone: a sentence ends at ``.``, ``?`` or ``!`` before white space. What differs are the ends
of abbreviations ("st. bernard" has one token more); no word of the published vocabulary has a full stop.
"""

import string
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from ctran.data.table import DataError
from ctran.textfile import read_text

File = Path | zipfile.Path
"""NLTK's downloader leaves some corpora in their zip files."""
NOUNS = ("index.noun", "noun.exc")
DEBIAN = Path("/usr/share/wordnet")
ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
"""WordNet's rules for nouns (its manual page morphy(7)): plural -> singular."""
_PUNCTUATION = frozenset(string.punctuation)


def _import_nltk() -> ModuleType:
    """NLTK, which only captions need; DataError with how to install it."""
    try:
        import nltk
    except ImportError:
        raise DataError(
            "captions are split into words by NLTK, which is not installed: pip install 'ctran[captions]'"
        ) from None
    return nltk


def version_file() -> Path:
    """The file that changes when NLTK is upgraded."""
    return Path(_import_nltk().__file__ or "").with_name("VERSION")


def _corpus(name: str) -> Iterator[File]:
    """Where NLTK's downloader may have put a corpus."""
    for folder in map(Path, _import_nltk().data.path):
        yield folder / "corpora" / name
        if (archive := folder / "corpora" / f"{name}.zip").is_file():
            yield zipfile.Path(archive, f"{name}/")


def find_wordnet(given: Path | None) -> list[File]:
    """WordNet's list of nouns and their irregular plurals: ``index.noun`` and ``noun.exc``.

    Args:
        given: the folder that holds them; None searches NLTK's folders, then Debian's.
    """
    places = [given] if given else [*_corpus("wordnet"), DEBIAN]
    for place in places:
        if all((place / name).is_file() for name in NOUNS):
            return [place / name for name in NOUNS]
    where = given or f"NLTK's folders or {DEBIAN}"
    raise DataError(
        f"WordNet's {' and '.join(NOUNS)} are not in {where}. Get WordNet 3.0 by 'python -m nltk.downloader wordnet' or as "
        "Debian's package wordnet-base, or name the folder: --data.wordnet DIR"
    )


def find_stop_words(given: Path | None) -> File:
    """The list of English stop words, one a line.

    Args:
        given: the file; None searches NLTK's folders.
    """
    places = [given] if given else [place / "english" for place in _corpus("stopwords")]
    for place in places:
        if place.is_file():
            return place
    where = given or "NLTK's folders"
    raise DataError(
        f"English stop words are not in {where}. Get NLTK's list by 'python -m nltk.downloader "
        "stopwords', or name a file with one word a line: --data.stopwords FILE. A vocabulary that is already made needs none: "
        "--data.vocabulary FILE"
    )


def on_disk(file: File) -> Path:
    """The file itself, or the zip file that it is in."""
    return file if isinstance(file, Path) else Path(str(file.root.filename))


def noun_lemmatizer(wordnet: Iterable[File]) -> Callable[[str], str]:
    """NLTK's ``WordNetLemmatizer().lemmatize``: the shortest noun that a word may be a form of, else the word itself.

    Candidates are the word itself and its line in ``noun.exc`` or, without one, what the rules of :data:`ENDINGS` give.
    NLTK's own reader of WordNet needs four parts of speech and a file that Debian's package lacks; this one needs the nouns.
    """
    index, exceptions = (read_text(file, DataError).splitlines() for file in wordnet)
    nouns = {line.split(" ", 1)[0] for line in index if not line.startswith(" ")}
    irregular = {form: lemmas for form, *lemmas in map(str.split, exceptions)}

    @cache
    def lemma(word: str) -> str:
        regular = (word.removesuffix(plural) + singular for plural, singular in ENDINGS if word.endswith(plural))
        forms = [word, *irregular.get(word, regular)]
        return min((form for form in forms if form in nouns), key=len, default=word)

    return lemma


def lemmas_of(wordnet: Iterable[File]) -> Callable[[str], list[str]]:
    """The function from a caption to the lemmas of its tokens, in their order, punctuation and stop words included."""
    _import_nltk()
    from nltk.tokenize import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    sentences, words, lemma = PunktSentenceTokenizer(), NLTKWordTokenizer(), noun_lemmatizer(wordnet)

    def lemmas(caption: str) -> list[str]:
        return [lemma(token) for part in sentences.tokenize(caption.lower()) for token in words.tokenize(part)]

    return lemmas


def most_frequent(lemmas: Iterable[str], size: int, stop_words: Collection[str]) -> tuple[str, ...]:
    """The ``size`` commonest of ``lemmas``, most frequent first; of equally frequent ones the alphabetically first.

    Raises:
        DataError: there are fewer different ones.
    """
    counts = Counter(lemmas)
    words = [word for word in counts if word not in stop_words and word not in _PUNCTUATION]
    if len(words) < size:
        raise DataError(f"the training captions have {len(words):,} different lemmas, fewer than --data.words {size:,}")
    return tuple(sorted(words, key=lambda word: (-counts[word], word))[:size])
