"""COCO-1000: words of COCO's captions as labels (paper, Sec. 4.2); the same from any captioned pictures, to replace NEWS-500.

A word is positive where any caption of the picture has it; the vocabulary is the commonest 1,000 of the training captions
(:mod:`ctran.data.readers.captions` has the recipe). Words change a little with NLTK's version, so a run freezes its vocabulary
(:func:`freeze`); ``vocabulary`` reads it, or the published one, ``coco_words_vocabulary.p`` of uvavision/feedbackprop.

Sizes. The paper prints 82,081 / 5,000 / 5,000 pictures. All 82,783 of train2014 have captions and all are used here; 82,081 is
how many have an annotated *object*, so it was probably carried over from COCO-80. Which 10,000 of val2014 were used is not
published; here, those with the smallest hashes of their ids, test first, so the test set does not depend on machine or ``val``.

Other captions need two files in COCO's format (``images``: id, file_name; ``annotations``: image_id, caption), for example as
NEWS-500, whose own data are not public::

    ctran train RECIPE --source coco1000 --data.root news --data.words 500 --data.val 1000 --data.test 1000 \\
        --data.train_captions train.json --data.train_images images --data.val_captions test.json --data.val_images images
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from ctran.bounds import check_bounds, within
from ctran.data import file_table, held_out, origins, table_cache
from ctran.data.readers import captions, coco
from ctran.data.readers.names import read_labels
from ctran.data.readers.plain_pickle import unpickle
from ctran.data.reading import Reading
from ctran.data.table import DataError, SampleTable
from ctran.files import write_text
from ctran.labels import LabelSpace
from ctran.progress import track
from ctran.textfile import read_text

SUMMARY = "COCO 2014 captions: the 1,000 commonest words; or those of any captioned pictures (in the place of NEWS-500)"
ORIGIN = origins.Origin(
    where="https://cocodataset.org/#download",
    size="13 GB train2014.zip, 6 GB val2014.zip, 241 MB annotations_trainval2014.zip",
    licence="captions CC BY 4.0; pictures: of each photographer on Flickr, see the field 'license'",
    layout=(
        "train2014/COCO_train2014_000000000009.jpg ...",
        "val2014/COCO_val2014_000000000042.jpg ...",
        "annotations/captions_train2014.json",
        "annotations/captions_val2014.json",
    ),
    note="Needs pip install 'ctran[captions]' and python -m nltk.downloader wordnet stopwords (12 MB).",
)
COUNTS = {
    "train2014 pictures": 82_783,
    "train2014 captions": 414_113,
    "val2014 pictures": 40_504,
    "val2014 captions": 202_654,
}
FROZEN = {"vocabulary": "vocabulary.txt"}
"""Option -> file of the run folder that keeps it."""

TRAIN, VAL = "annotations/captions_train2014.json", "annotations/captions_val2014.json"


@dataclass(frozen=True)
class Config(Reading):
    """COCO-1000.

    Args:
        root: folder with the pictures and the captions.
        words: size of the vocabulary.
        vocabulary: a vocabulary that is already made: text with one word a line, a labels.json, or Feedback-prop's
            coco_words_vocabulary.p; without it the training captions are counted.
        wordnet: folder with WordNet's index.noun and noun.exc; without it NLTK's and Debian's folders are searched.
        stopwords: file of words, one a line, that the vocabulary leaves out; without it NLTK's English list.
        train_captions: the captions to train on, a file below root in COCO's format.
        val_captions: the captions of the pictures that val and test are drawn from.
        train_images: folder below root that the file names in train_captions start from.
        val_images: the same for val_captions.
        select_on: val, or test as in the released code (the best epoch is then chosen on what is reported).
        val: pictures drawn from val_captions for selection.
        test: pictures drawn from val_captions for the test.
        check_counts: stop where COCO's own files do not hold what they should; otherwise only warn.
    """

    root: Path
    words: int = within(1000, 1)
    vocabulary: Path | None = None
    wordnet: Path | None = None
    stopwords: Path | None = None
    train_captions: str = TRAIN
    val_captions: str = VAL
    train_images: str = "train2014"
    val_images: str = "val2014"
    select_on: held_out.Selection = "val"
    val: int = within(5000, 1)
    test: int = within(5000, 1)
    check_counts: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "data")

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        yield from held_out.unused(self.select_on)
        if self.vocabulary:
            yield "stopwords", "data.vocabulary is made already"
        if not self.is_published:
            yield "check_counts", "the captions are not COCO's own, of which counts are known"

    @property
    def is_published(self) -> bool:
        """Whether the captions are those of COCO's own files."""
        return (self.train_captions, self.val_captions) == (TRAIN, VAL)


@dataclass(frozen=True)
class Captioned:
    """A captions file: for each picture its id and its captions."""

    file: Path
    files: list[str]
    ids: list[str]
    captions: list[list[str]]


def read_captions(root: Path, file: str, folder: str) -> Captioned:
    """A captions file, checked; ids are the pictures' paths below ``root``."""
    path = root / file
    content = coco.read(path, coco.Captions)
    texts: list[list[str]] = [[] for _ in content.images]
    for row, annotation in zip(coco.rows_of(path, content.images, content.annotations), content.annotations, strict=True):
        texts[row].append(annotation.caption)
    files = [picture.file_name for picture in content.images]
    if without := [i for i, own in enumerate(texts) if not own]:
        raise DataError(
            f"{path}: {len(without):,} pictures have no caption (first: images[{without[0]}], {files[without[0]]}), so nothing "
            "is known of them; take them out of the file"
        )
    return Captioned(path, files, [f"{folder}/{name}" for name in files], texts)


def read_vocabulary(path: Path, size: int) -> tuple[str, ...]:
    """The words of a file, in its order.

    Raises:
        DataError: not ``size`` words, an empty or duplicate one, or a file of another format.
    """
    words = published_words(path) if path.suffix == ".p" else read_labels(path).names
    if len(words) != size:
        raise DataError(f"{path} holds {len(words):,} words, expected --data.words {size:,}")
    return words


def published_words(path: Path) -> tuple[str, ...]:
    """Words of Feedback-prop's vocabulary: a tuple of dicts, number -> word, word -> number, number -> count."""
    content = unpickle(path)
    try:
        word_of = content[0]
        return LabelSpace(tuple(word_of[i] for i in range(len(word_of)))).names
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected Feedback-prop's dicts of words ({type(error).__name__}: {error})") from None


def draw(ids: Sequence[str], config: Config) -> tuple[list[int], list[int]]:
    """Positions of the pictures of ``val`` and ``test``: test has the smallest hashes, val the next."""
    if config.val + config.test > len(ids):
        raise DataError(
            f"--data.val {config.val} and --data.test {config.test} are more than the {len(ids):,} pictures there are"
        )
    order = held_out.by_hash(ids)
    return sorted(order[config.test : config.test + config.val]), sorted(order[: config.test])


def table(
    source: Captioned, rows: Sequence[int], lemmas: Sequence[Sequence[str]], vocabulary: Sequence[str], config: Config
) -> SampleTable:
    """The pictures ``rows`` of a captions file with their words; ``lemmas`` has one list a row."""
    number = {word: i for i, word in enumerate(vocabulary)}
    positives = [sorted({number[word] for word in words if word in number}) for words in lemmas]
    ids = [source.ids[i] for i in rows]
    origins.require_pictures(config.root.absolute(), ids, "coco1000", ORIGIN)
    return file_table.make_table([config.root.absolute() / i for i in ids], ids, positives, LabelSpace(tuple(vocabulary)))


def check(train: Captioned, val: Captioned, config: Config) -> None:
    """Check that COCO's files are complete and that no picture is in both files, whatever the files."""
    if both := set(train.ids) & set(val.ids):
        raise DataError(f"{val.file}: {len(both):,} pictures are in {train.file} too (first: {min(both)})")
    if not config.is_published:
        return
    found = {
        f"{half} {what}": n
        for half, file in (("train2014", train), ("val2014", val))
        for what, n in (("pictures", len(file.ids)), ("captions", sum(map(len, file.captions))))
    }
    origins.check_counts(found, COUNTS, "coco1000", check=config.check_counts)


def read_all(
    config: Config, wordnet: Sequence[captions.File], vocabulary: Sequence[str] | None, stop_words: captions.File | None
) -> dict[str, SampleTable]:
    """All splits, checked, without the cache; the vocabulary is counted, without ``stop_words``, where none is given."""
    root = config.root.absolute()
    train = read_captions(root, config.train_captions, config.train_images)
    val = read_captions(root, config.val_captions, config.val_images)
    check(train, val, config)
    chosen = [(train, list(range(len(train.ids)))), *((val, rows) for rows in draw(val.ids, config))]
    lemmas_of = captions.lemmas_of(wordnet)
    texts = [source.captions[i] for source, rows in chosen for i in rows]
    lemmas = [[*chain.from_iterable(map(lemmas_of, own))] for own in track(texts, "reading captions", len(texts))]
    if vocabulary is None:
        stop = set(read_text(stop_words, DataError).split()) if stop_words else set[str]()
        vocabulary = captions.most_frequent(chain.from_iterable(lemmas[: len(train.ids)]), config.words, stop)
    rest = iter(lemmas)
    tables = [table(source, rows, [next(rest) for _ in rows], vocabulary, config) for source, rows in chosen]
    return {"train": tables[0], "val": tables[1] if config.select_on == "val" else tables[2], "test": tables[2]}


def by_words(config: Config, words: Sequence[str]) -> Config:
    """Options for the cache's key, with a digest of the words instead of the path of their file."""
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
    return replace(config, vocabulary=Path(digest), stopwords=None)


def build(config: Config) -> dict[str, SampleTable]:
    """All splits. A word that no caption of a picture has counts as absent from it."""
    needed = (config.train_captions, config.val_captions, config.train_images, config.val_images)
    inputs = [origins.require(config.root / name, "coco1000", ORIGIN) for name in needed]
    wordnet = captions.find_wordnet(config.wordnet)
    inputs += [captions.on_disk(file) for file in wordnet]
    inputs.append(captions.version_file())  # another NLTK may cut captions into other words
    if config.vocabulary:
        words = read_vocabulary(config.vocabulary, config.words)
        return table_cache.cached("coco1000", by_words(config, words), inputs, lambda: read_all(config, wordnet, words, None))
    stop_words = captions.find_stop_words(config.stopwords)
    return table_cache.cached(
        "coco1000",
        config,
        [*inputs, captions.on_disk(stop_words)],
        lambda: read_all(config, wordnet, None, stop_words),
        same=lambda tables: (by_words(config, tables["train"].labels.names), inputs),
    )


def freeze(tables: dict[str, SampleTable], folder: Path) -> None:
    """Write the words of ``tables`` to the file in :data:`FROZEN`; read as ``vocabulary`` they give the same tables."""
    write_text(folder / FROZEN["vocabulary"], "\n".join(tables["train"].labels.names) + "\n")
