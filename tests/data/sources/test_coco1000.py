"""COCO-1000 against the words that its miniature's captions were made of."""

import dataclasses
import json
import pickle
import shutil
import sys
from collections import Counter

import nltk
import pytest

from ctran.data.readers import captions
from ctran.data.sources import coco1000
from ctran.data.table import DataError
from ctran.labels import LabelSpace, LabelState
from tests.data.miniatures import coco80 as pictures
from tests.data.miniatures import coco1000 as miniature
from tests.data.miniatures import edit_json


@pytest.fixture
def config(tmp_path):
    return coco1000.Config(tmp_path, **miniature.make(tmp_path))


def read(config, **options):
    return coco1000.build(dataclasses.replace(config, **options))


def truth(tables, *splits):
    return {
        name: {table.labels.names[i] for i in (row == LabelState.POSITIVE).nonzero()[:, 0]}
        for table in (tables[split] for split in splits)
        for name, row in zip(table.ids, table.truth.dense(), strict=True)
    }


def said(half):
    """Picture id -> lemmas of all that was said of it."""
    return {
        f"{half}/{pictures.file_name(half, number)}": [miniature.lemma(word) for caption in own for word in caption]
        for number, own in miniature.plan(half).items()
    }


def commonest(size):
    counts = Counter(word for words in said("train2014").values() for word in words)
    words = [word for word in counts if word not in {*miniature.STOP_WORDS, ".", "!"}]
    return tuple(sorted(words, key=lambda word: (-counts[word], word))[:size])


def test_labels_are_the_commonest_words_and_positive_where_a_caption_has_them(config):
    tables = read(config)
    words = commonest(12)
    assert tables["train"].labels.names == words
    assert truth(tables, "train") == {name: set(words) & set(own) for name, own in said("train2014").items()}
    chosen = truth(tables, "val", "test")
    assert len(chosen) == 9
    assert chosen == {name: set(words) & set(own) for name, own in said("val2014").items() if name in chosen}


def test_stop_words_are_dropped_after_lemmas_are_made(config):
    words = read(config, words=18)["train"].labels.names
    assert {"ha", "wa", "men"} <= set(words) and not {"a", "is", "has", ".", "!"} & set(words)


def test_test_pictures_do_not_depend_on_how_many_select(config):
    few, many = read(config, val=1), read(config, val=7)
    assert few["test"].ids == many["test"].ids and set(few["val"].ids) < set(many["val"].ids)
    assert read(config, select_on="test")["val"].ids == few["test"].ids
    with pytest.raises(DataError, match=r"--data.val 8 and --data.test 5 are more than the 12 pictures"):
        read(config, val=8)


def test_a_frozen_vocabulary_gives_the_same_tables_without_stop_words_wherever_it_lies(config, tmp_path, monkeypatch):
    tables = read(config)
    run = tmp_path / "run"
    run.mkdir()
    coco1000.freeze(tables, run)
    assert [path.name for path in run.iterdir()] == [coco1000.FROZEN["vocabulary"]]

    def frozen(run):
        again = read(config, stopwords=None, vocabulary=run / coco1000.FROZEN["vocabulary"])
        assert again["train"].labels == tables["train"].labels
        assert truth(again, "train", "val", "test") == truth(tables, "train", "val", "test")

    with monkeypatch.context() as patch:
        patch.setattr(coco1000, "read_all", lambda *given: pytest.fail("read again"))
        frozen(run)
        frozen(run.rename(tmp_path / "moved"))
    monkeypatch.setenv("CTRAN_CACHE", str(tmp_path / "another cache"))
    frozen(tmp_path / "moved")


def test_a_vocabulary_that_was_edited_is_read_again(config, tmp_path):
    path = tmp_path / "words.txt"
    for words in (("dog", "bus"), ("bus", "dog"), ("dog", "man")):
        path.write_text("\n".join(words))
        assert read(config, words=2, vocabulary=path)["train"].labels.names == words


@pytest.mark.parametrize("form", ["text", "labels.json", "pickle"])
def test_a_vocabulary_is_read_in_its_own_order(config, tmp_path, form):
    words = ["dog", "brush", "wa", "unheard"]
    path = tmp_path / {"text": "words.txt", "labels.json": "labels.json", "pickle": "coco_words_vocabulary.p"}[form]
    numbers = dict(enumerate(words))
    published = (numbers, {word: i for i, word in numbers.items()}, dict.fromkeys(numbers, 9))
    contents = {
        "text": "\n".join(words).encode(),
        "labels.json": json.dumps(LabelSpace(tuple(words)).as_dict()).encode(),
        "pickle": pickle.dumps(published, protocol=0),
    }
    path.write_bytes(contents[form])
    tables = read(config, vocabulary=path, words=4)
    assert tables["train"].labels.names == tuple(words)
    assert truth(tables, "train") == {name: set(words) & set(own) for name, own in said("train2014").items()}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", b"dog\nbus\n", r"v.txt holds 2 words, expected --data.words 12"),
        ("v.txt", b"dog\n\nbus\n", "v.txt: expected one name a line, .*empty one at position 1"),
        ("v.json", b'["dog"]', "v.json: expected .*labels.json"),
        ("v.p", pickle.dumps([["dog"], Counter("a")]), r"v.p cannot be read .*asks for collections.Counter"),
        ("v.p", pickle.dumps(()), "v.p: expected Feedback-prop's dicts of words"),
        ("v.p", pickle.dumps(({1: "dog"},)), "v.p: expected Feedback-prop's dicts of words .KeyError: 0"),
        ("v.p", pickle.dumps(({0: "dog", 1: "dog"},)), "v.p: expected Feedback-prop's .*distinct, got 'dog' twice"),
    ],
)
def test_what_is_not_a_vocabulary_is_refused(config, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(config, vocabulary=tmp_path / name)


FAULTS = {
    "no caption": (
        lambda c: c["annotations"][3].pop("caption"),
        r"missing required field `caption` - at `\$.annotations\[3\]`",
    ),
    "unknown picture": (lambda c: c["annotations"][4].update(image_id=-5), r"annotations\[4\].image_id is -5, but no entry"),
    "a picture nobody described": (
        lambda c: c["images"].append({"id": 0, "file_name": "x.jpg"}),
        r"1 pictures have no caption .first: images\[14\], x.jpg",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_malformed_content_is_refused_with_its_place(config, fault):
    edit, message = FAULTS[fault]
    edit_json(config.root / "annotations/captions_train2014.json", edit)
    with pytest.raises(DataError, match=message):
        read(config)


def test_more_words_than_there_are_is_an_error(config):
    with pytest.raises(DataError, match=r"have \d\d different lemmas, fewer than --data.words 1,000"):
        read(config, words=1000)


@pytest.mark.parametrize("name", ["words", "val", "test"])
def test_sizes_are_positive(config, name):
    with pytest.raises(ValueError, match=rf"data.{name} must be at least 1, got 0"):
        dataclasses.replace(config, **{name: 0})


@pytest.fixture
def nowhere(config, tmp_path, monkeypatch):
    """A machine without WordNet and stop words."""
    monkeypatch.setattr(captions, "DEBIAN", tmp_path / "not there")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    (tmp_path / "nltk_data").rename(tmp_path / "away")
    return dataclasses.replace(config, wordnet=None, stopwords=None)


def test_what_language_data_are_missing_and_where_they_come_from_is_said(nowhere, tmp_path):
    with pytest.raises(
        DataError, match=r"index.noun and noun.exc are not in NLTK's folders .*nltk.downloader wordnet.*wordnet-base"
    ):
        coco1000.build(nowhere)
    wordnet = tmp_path / "away" / "corpora" / "wordnet"
    with pytest.raises(DataError, match=r"stop words are not in NLTK's folders.*downloader stopwords.*--data.stopwords FILE"):
        read(nowhere, wordnet=wordnet)
    (wordnet / "noun.exc").unlink()
    with pytest.raises(DataError, match=r"index.noun and noun.exc are not in .*away/corpora/wordnet"):
        read(nowhere, wordnet=wordnet)


@pytest.mark.parametrize("zipped", [False, True])
def test_language_data_are_found_where_nltk_downloads_them(nowhere, tmp_path, config, zipped):
    before = truth(coco1000.build(coco1000.Config(tmp_path, **moved(config, tmp_path / "away"))), "train")
    corpora = tmp_path / "nltk_data" / "corpora"
    if zipped:
        for name in ("wordnet", "stopwords"):
            shutil.make_archive(str(corpora / name), "zip", tmp_path / "away" / "corpora", name)
    else:
        (tmp_path / "away").rename(tmp_path / "nltk_data")
    assert truth(coco1000.build(nowhere), "train") == before


def moved(config, folder):
    options = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "root"}
    return options | {"wordnet": folder / "corpora" / "wordnet", "stopwords": folder / "corpora" / "stopwords" / "english"}


def test_without_nltk_the_error_says_how_to_install_it(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(DataError, match=r"pip install 'ctran\[captions\]'"):
        read(config)


def test_any_captioned_pictures_take_the_place_of_news_500(config, tmp_path):
    """Files and folders of other names, pictures in nested folders; COCO's counts are not asked for."""
    news = tmp_path / "news"
    for half, file in (("train2014", "train.json"), ("val2014", "test.json")):
        content = json.loads((config.root / "annotations" / f"captions_{half}.json").read_text())
        for picture in content["images"]:
            name = f"{picture['id'] % 3}/{picture['file_name']}"
            (news / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(config.root / half / picture["file_name"], news / "images" / name)
            picture["file_name"] = name
        (news / file).write_text(json.dumps({key: content[key] for key in ("images", "annotations")}))
    places = {"train_captions": "train.json", "val_captions": "test.json", "train_images": "images", "val_images": "images"}
    tables = read(config, root=news, check_counts=True, words=5, **places)
    by_name = {name.rpartition("/")[2]: words for name, words in truth(tables, "train").items()}
    assert by_name == {name.rpartition("/")[2]: {*commonest(5)} & {*words} for name, words in said("train2014").items()}
    with pytest.raises(DataError, match=r"train.json: 14 pictures are in .*train.json too"):
        read(config, root=news, words=5, **{**places, "val_captions": "train.json"})


def test_second_start_comes_from_the_cache_until_a_file_changes(config, monkeypatch):
    first = read(config)
    with monkeypatch.context() as patch:
        patch.setattr(coco1000, "read_all", lambda *given: pytest.fail("read again"))
        assert truth(read(config), "train", "val", "test") == truth(first, "train", "val", "test")
    config.stopwords.write_text("\n".join([*miniature.STOP_WORDS, commonest(1)[0]]))
    assert commonest(1)[0] not in read(config)["train"].labels.names
