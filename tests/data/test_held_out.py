"""Training pictures that are held out for validation."""

import pytest

from ctran.data import held_out
from ctran.data.table import DataError


def test_held_out_pictures_depend_on_their_ids_alone():
    ids = [f"{i}.jpg" for i in range(50)]
    kept, held = held_out.hold_out(ids, 10)
    assert sorted(kept + held) == list(range(50)) and len(held) == 10
    again = held_out.hold_out(ids[::-1], 10)[1]
    assert {ids[i] for i in held} == {ids[::-1][i] for i in again}
    assert set(held) < set(held_out.hold_out(ids, 20)[1])


@pytest.mark.parametrize("count", [0, 50, -1])
def test_holding_out_nothing_or_everything_is_refused(count):
    with pytest.raises(DataError, match="between 1 and 49 training pictures"):
        held_out.hold_out([str(i) for i in range(50)], count)
