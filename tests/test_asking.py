"""One contract: however a model is asked about a picture, probabilities and labels are the same."""

import pytest

from tests import asking


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return asking.make(tmp_path_factory.mktemp("asked"))


@pytest.mark.parametrize("way", asking.WAYS, ids=lambda way: way.__name__)
def test_every_way_of_asking_gives_the_same_probabilities_and_labels(way, asked):
    assert asking.check(asked, way(asked)) > 9


def test_the_model_of_the_contract_would_show_a_way_that_leaves_something_out(asked):
    """Temperatures, thresholds, group and implications each change what is said of some picture."""
    names, implied, group = set(), 0, 0
    for name, known in asked.cases:
        p, present = asking.expected(asked, name, known)
        names |= {n for n, here in present.items() if n not in asking.AMOUNTS and n not in known and here != (p[n] >= 0.5)}
        least = asking.CALIBRATION.thresholds
        implied += any(present.get(n) and p[n] < least[n] and n not in known for n in ("warm", "full"))
        group += not any(p[n] >= 0.5 for n in asking.AMOUNTS)
    assert names and implied and group
