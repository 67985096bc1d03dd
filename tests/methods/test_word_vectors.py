"""Vectors of the words in label names: from files and packages, or drawn."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ctran.errors import UserError
from ctran.folders.config import without_paths
from ctran.labels import LabelSpace, UnknownLabelError
from ctran.methods._word_vectors import WordConfig, WordVectors, label_vectors

TEXT = "hot 1 0 0\ndog 0 1 0\ncat 0 0 2\nt-shirt 3 0 0\nUSA 0 3 0\n. . . 5 5 5\nhot 9 9 9\n"
VECTORS = {"hot": [1, 0, 0], "dog": [0, 1, 0], "cat": [0, 0, 2]}


@pytest.fixture
def text(tmp_path):
    """A GloVe text file: the config that names it."""
    (tmp_path / "glove.txt").write_text(TEXT)
    return WordConfig(word_vectors=f"file:{tmp_path / 'glove.txt'}", word_dim=3)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a matrix and its words."""
    data, about = tmp_path / "some_glove", tmp_path / "some_glove-1.0.dist-info"
    data.mkdir()
    about.mkdir()
    np.save(data / "rows.npy", np.array(list(VECTORS.values()), dtype=np.float32))
    pq.write_table(pa.table({"index": list(VECTORS)}), data / "words.parquet")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-glove\nVersion: 1.0\n")
    (about / "RECORD").write_text("some_glove/rows.npy,,\nsome_glove/words.parquet,,\nsome_glove-1.0.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    return data


def of(config, *names):
    return label_vectors(config, LabelSpace(names), list(names)).tolist()


def test_a_name_has_the_mean_of_its_words(text):
    assert of(text, "cat", "hot dog", "hot_dog::cat") == [[0, 0, 2], [0.5, 0.5, 0], pytest.approx([1 / 3, 1 / 3, 2 / 3])]


def test_a_word_is_looked_up_as_it_is_written_then_in_lower_case_then_in_pieces(text):
    assert of(text, "T-shirt", "USA", "Dog", "cat-dog") == [[3, 0, 0], [0, 3, 0], [0, 1, 0], [0, 0.5, 1]]


def test_words_of_labels_can_be_given(text):
    config = replace(text, label_words=("hotdogs=hot dog", "a=b=cat"))
    assert of(config, "hotdogs", "a=b") == [[0.5, 0.5, 0], [0, 0, 2]]
    with pytest.raises(UnknownLabelError, match="hotdgs"):
        of(replace(text, label_words=("hotdgs=hot dog",)), "hotdogs")
    with pytest.raises(UserError, match=r"model.label_words: expected LABEL=TEXT, .*, got 'hot dog'"):
        replace(text, label_words=("hot dog",))


def test_words_without_a_vector_are_listed_or_drawn(text):
    with pytest.raises(
        UserError, match=r"no vector for tvmonitor, sheep \(of 'hot sheep'\). Give .*model.missing_words random"
    ):
        of(text, "tvmonitor", "cat", "hot sheep")
    config = replace(text, missing_words="random")
    first, second = of(config, "tvmonitor", "cat"), of(config, "cat", "tvmonitor", "hot sheep")
    assert first == [second[1], second[0]] and first[1] == [0, 0, 2]
    assert of(replace(config, word_seed=1), "tvmonitor", "cat")[0] != first[0]


def test_of_many_words_without_a_vector_the_first_ten_are_named(text):
    with pytest.raises(UserError, match=r"no vector for w0, .*, w9 and 2 more\."):
        of(text, *(f"w{i}" for i in range(12)))


def test_random_vectors_follow_the_words_and_have_the_norm_of_published_ones():
    config = WordConfig(word_vectors="random", word_dim=300)
    dog, hot, both = (torch.tensor(row) for row in of(config, "dog", "hot", "Hot Dog"))
    assert torch.allclose((dog + hot) / 2, both, atol=1e-6) and 4.5 < dog.norm() < 5.5
    assert torch.cosine_similarity(dog, hot, dim=0).abs() < 0.25


def test_a_package_s_matrix_and_words_are_read(package):
    assert of(WordConfig(word_vectors="package:some-glove", word_dim=3), "hot dog") == [[0.5, 0.5, 0]]
    with pytest.raises(UserError, match=r"package some-glove has other vectors: set model.word_dim 3"):
        of(WordConfig(word_vectors="package:some-glove"), "dog")
    np.save(package / "rows.npy", np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(UserError, match=r"package some-glove has 3 words and a matrix of shape \(2, 3\)"):
        of(WordConfig(word_vectors="package:some-glove", word_dim=3), "dog")
    np.save(package / "rows.npy", np.full((3, 3), np.nan, dtype=np.float32))
    with pytest.raises(UserError, match=r"package some-glove, 'dog': expected 3 finite numbers"):
        of(WordConfig(word_vectors="package:some-glove", word_dim=3), "dog")
    np.save(package / "rows.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"package some-glove holds no vectors that can be read safely: .*Python objects"):
        of(WordConfig(word_vectors="package:some-glove", word_dim=3), "dog")


def test_packages_that_are_not_there_or_carry_no_vectors_are_refused():
    with pytest.raises(UserError, match=r"package:no-such-glove needs that package: pip install no-such-glove"):
        of(WordConfig(word_vectors="package:no-such-glove"), "dog")
    with pytest.raises(UserError, match=r"package numpy should carry one matrix .* found \d+ and 0"):
        of(WordConfig(word_vectors="package:numpy"), "dog")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("hot 1 0\n", r"has other vectors: set model.word_dim 2"),
        ("a text about dogs\n", r"is no text file of word vectors"),
        ("\x80\x04\x95 pickle\n", r"is no text file of word vectors"),
        ("", r"has no vector for dog"),
        ("cat 1 0 0\ndog 1 x 0\n", r"line 2: expected 3 numbers after 'dog'"),
        ("cat 1 0 0\ndog nan 1 0\n", r"line 2: expected 3 finite numbers"),
    ],
)
def test_files_that_are_not_of_word_vectors_are_refused(text, tmp_path, content, why):
    (tmp_path / "glove.txt").write_text(content)
    with pytest.raises(UserError, match=why):
        of(text, "dog")


def test_a_first_line_of_two_counts_is_skipped(text, tmp_path):
    (tmp_path / "glove.txt").write_text("2 3\ncat 0 0 2\ndog 0 1 0\n")
    assert of(text, "dog") == [[0, 1, 0]]


@pytest.mark.parametrize("source", ["glove.txt", "file:", "hub:glove"])
def test_other_sources_are_refused_with_what_there_is(source):
    with pytest.raises(UserError, match=r"model.word_vectors '.*' is none of those that are known: give file:PATH"):
        of(WordConfig(word_vectors=source), "dog")
    with pytest.raises(UserError, match=r"no/glove.txt not found; give file:PATH"):
        of(WordConfig(word_vectors="file:no/glove.txt"), "dog")


def test_rows_that_have_a_vector_are_kept(text, tmp_path):
    words = WordVectors(text, 2)
    words.vectors[1] = torch.tensor([7.0, 7, 7])
    words.fill(LabelSpace(("dog", "a label that fine-tuning inherits")))
    assert words.vectors.tolist() == [[0, 1, 0], [7, 7, 7]]
    (tmp_path / "glove.txt").unlink()
    words.fill(LabelSpace(("dog", "a label that fine-tuning inherits")))  # all are there: nothing is read
    with pytest.raises(UserError, match=r"model.word_vectors: the method needs vectors of the label names: give file:PATH"):
        WordVectors(WordConfig(), 1).fill(LabelSpace(("dog",)))


def test_a_published_configuration_names_the_file_without_its_path():
    config = without_paths({"model": {"word_vectors": "file:/home/me/glove.txt", "word_dim": 3, "weights": "hub"}})
    assert config["model"] == {"word_vectors": "file:glove.txt", "word_dim": 3, "weights": "hub"}
