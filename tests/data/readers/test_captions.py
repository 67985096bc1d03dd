"""Lemmas, words and vocabularies, against NLTK's own code where it can be run without its downloads."""

import nltk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctran.data.readers import captions
from tests.data.miniatures import coco1000 as miniature


def test_equally_frequent_words_are_taken_by_name():
    assert captions.most_frequent(["b", "a", "c", "c", "d", "b", "a", "e", "the", "the", "."], 4, {"the"}) == (
        "a",
        "b",
        "c",
        "d",
    )


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """Our lemmatizer and NLTK's, over the same files."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.stem import WordNetLemmatizer

    class Whole(WordNetCorpusReader):
        def map_wn(self, version="wordnet"):
            return None  # would look for another WordNet to compare with

    folder = tmp_path_factory.mktemp("wordnet") / "wordnet"
    miniature.write_wordnet(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(folder)])  # NLTK opens no other folder
        patch.setattr(nltk.corpus, "wordnet", Whole(str(folder), object()))
        yield captions.noun_lemmatizer(captions.find_wordnet(folder)), WordNetLemmatizer().lemmatize


ENDINGS = ["", "s", "es", "ses", "ves", "xes", "zes", "ches", "shes", "men", "ies"]
STEMS = sorted({word[: len(word) - cut] for word in [*miniature.NOUNS, *miniature.IRREGULAR] for cut in (0, 1, 2, 3)})


@settings(deadline=None)
@given(st.sampled_from(STEMS), st.sampled_from(ENDINGS))
def test_lemmas_are_those_of_nltk(oracle, stem, ending):
    ours, theirs = oracle
    assert ours(stem + ending) == theirs(stem + ending)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The splitter, with a dictionary that has no noun, so that lemmas are the words."""
    folder = tmp_path_factory.mktemp("empty")
    for name in captions.NOUNS:
        (folder / name).touch()
    return captions.lemmas_of(captions.find_wordnet(folder))


@settings(deadline=None)
@given(st.lists(st.text("abc ,;\"'-()5", max_size=25), min_size=1, max_size=3))
def test_words_are_those_of_nltk_sentence_by_sentence(words, parts):
    from nltk.tokenize import word_tokenize

    sentences = [f"a {part} boat." for part in parts]
    expected = [token for part in sentences for token in word_tokenize(part, preserve_line=True)]
    assert words(" ".join(sentences).upper()) == expected


def test_a_full_stop_inside_a_caption_is_a_token(tmp_path):
    miniature.write_wordnet(tmp_path / "wordnet")
    lemmas = captions.lemmas_of(captions.find_wordnet(tmp_path / "wordnet"))
    assert lemmas("Two dogs. A man's \"red\" bus isn't near!") == [
        *("two", "dog", ".", "a", "man", "'s", "``", "red", "''", "bus", "is", "n't", "near", "!")
    ]
