"""The pointing game counts what it says, and its page follows from the figures."""

import numpy as np
import pytest

from benchmarks import heatmaps


@pytest.mark.parametrize(("y", "x"), [(0, 0), (1, 5), (6, 1)])
def test_a_hit_is_the_greatest_value_in_the_box(y, x):
    heatmap = np.full((7, 7), -1, np.float32)
    heatmap[y, x] = 3
    middle = ((x + 0.5) / 7, (y + 0.5) / 7)
    box = (max(0, middle[0] - 0.1), max(0, middle[1] - 0.1), middle[0] + 0.1, middle[1] + 0.1)
    hit, inside = heatmaps.scores(heatmap, box)
    assert hit == 1 and inside > 0.7
    assert heatmaps.scores(heatmap[::-1].copy(), box)[0] == 0  # the map upside down points elsewhere
    assert heatmaps.scores(-abs(heatmap), (0, 0, 1, 1)) == (1, 0)  # nothing speaks for it: no share


def test_the_page_has_hits_chance_and_seconds():
    box = [0.5, 0, 1, 0.5]
    entry = {
        "tries": [{"rows": [1, 2, 3, 4], "label": "flag", "box": box}] * 4,
        "played": {
            str(n): {"attention, last layer": [0, 0.2], "heat map": [n % 4 > 0, 0.5], "seconds": 0.25} for n in range(4)
        },
    }
    text = heatmaps.page({"test": {"mosaics-4": entry}})
    assert "## Mosaics of 4, test" in text and "| heat map | 75.0 ± 21.7 | 50.0 |" in text
    assert "| attention, last layer | 0.0 ± 0.0 | 20.0 |" in text and "| chance | 25.0 | 25.0 |" in text
    assert "4 tries; a heat map took 0.25 s" in text
    assert "Not run yet." in heatmaps.page({})
