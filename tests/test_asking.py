"""One contract: however a model is asked about a picture, probabilities and labels are the same."""

import pytest

from tests import asking
from tests.methods.conftest import registered_toys

METHODS = ("ctran", "label_sets")
"""One whose labels follow from thresholds, and one that chooses label sets by itself."""


@pytest.fixture(scope="module", params=METHODS)
def asked(request, tmp_path_factory):
    with registered_toys():
        yield asking.make(tmp_path_factory.mktemp("asked"), request.param)


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("way", asking.WAYS, ids=lambda way: way.__name__)
def test_every_way_of_asking_gives_the_same_probabilities_and_labels(way, asked):
    assert asking.check(asked, way(asked)) > 9


def test_the_model_of_the_contract_would_show_a_way_that_leaves_something_out(asked):
    """Temperatures, thresholds or the method's choice, group and implications each change what is said of some picture."""
    names, implied, group, chosen = set(), 0, 0, 0
    least = asking.CALIBRATION.thresholds
    for name, known in asked.cases:
        p, present = asking.expected(asked, name, known)
        names |= {n for n, here in present.items() if n not in asking.AMOUNTS and n not in known and here != (p[n] >= 0.5)}
        implied += any(present.get(n) and p[n] < least[n] and n not in known for n in ("warm", "full"))
        group += not any(p[n] >= 0.5 for n in asking.AMOUNTS)
        alone = [n for n in present if n not in (*asking.AMOUNTS, "warm", "full", *known)]
        chosen += any(present[n] != (p[n] >= least.get(n, 0.5)) for n in alone)
    if asked.tagger.model.decodes:
        assert chosen
    else:
        assert names and implied and group and not chosen
