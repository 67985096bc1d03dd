"""The picture to label next is informative, and unlike those that are labelled."""

import pytest
import torch

from ctran.labelling.suggest import most_informative, next_picture, similarity

CLUSTERS = torch.nn.functional.normalize(torch.randn(3, 64, generator=torch.Generator().manual_seed(0)), dim=1)


def near(cluster, count, seed):
    noise = 0.02 * torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(CLUSTERS[cluster] + noise, dim=1)


@pytest.fixture
def vectors():
    """Ten pictures like the first, four like the second, one like the third."""
    parts = {"a": near(0, 10, 1), "b": near(1, 4, 2), "c": near(2, 1, 3)}
    return {f"{name}{i}": row for name, rows in parts.items() for i, row in enumerate(rows)}


def test_pictures_that_are_alike_are_similar_and_one_without_a_vector_is_like_none():
    rows = torch.cat([near(0, 2, 1), near(1, 1, 2), torch.zeros(1, 64)])
    found = similarity(rows, rows)
    assert found.diagonal()[:3] == pytest.approx(torch.ones(3), rel=1e-5) and found[0, 1] > 0.8 > 0.1 > found[0, 2]
    assert not found[3].any() and not found[:, 3].any()


def test_without_a_model_the_folder_is_covered_group_by_group(vectors):
    chosen = []
    for _ in range(3):
        rest = [name for name in vectors if name not in chosen]
        chosen.append(next_picture("teaches", rest, chosen, vectors, {}))
    assert [name[0] for name in chosen] == ["a", "b", "c"]


def test_uncertain_pictures_count_more_and_certain_ones_teach_nothing(vectors):
    certain = {name: 0.0 if name[0] != "c" else 1.0 for name in vectors}
    assert next_picture("teaches", list(vectors), [], vectors, certain) == "c0"
    unsure = {name: i / 100 for i, name in enumerate(vectors)}
    assert next_picture("unsure", list(vectors), [], vectors, unsure) == "c0"
    assert next_picture("order", list(vectors)[3:], [], vectors, unsure) == "a3"


def test_the_gain_is_that_of_its_formula(vectors):
    rows, weights = torch.stack(list(vectors.values())), torch.rand(15, generator=torch.Generator().manual_seed(4))
    labelled = rows[:2]
    found = most_informative(rows, labelled, weights)
    for i in (0, 9, 12, 14):
        expected = 0.0
        for j in range(15):
            before = max(float(similarity(labelled[m : m + 1], rows[j : j + 1])) for m in range(2))
            expected += float(weights[j]) * max(0.0, float(similarity(rows[i : i + 1], rows[j : j + 1])) - before)
        assert float(found[i]) == pytest.approx(expected, abs=1e-4)


def test_nothing_left_is_none_and_pictures_that_are_not_encoded_come_in_order():
    assert next_picture("teaches", [], ["a"], {}, {}) is None
    assert next_picture("teaches", ["a", "b"], [], {}, {}) == "a"
    assert next_picture("unsure", ["a", "b"], [], {}, {}) == "a"
