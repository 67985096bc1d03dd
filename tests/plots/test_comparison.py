"""Methods beside each other."""

import math

import pytest

from ctran.images.transforms import open_image
from ctran.plots.comparison import Compared, accuracy_by_known, accuracy_by_time


@pytest.mark.parametrize("count", [1, 24])
def test_the_plots_bear_one_or_many_methods_odd_names_and_figures_that_do_not_exist(count, tmp_path):
    many = [
        Compared(f"$x_{n}", [math.nan if n == 3 else 50.0 - n, 60.0], [math.nan, 1.0], 1.5 ** (n / 2)) for n in range(count)
    ]
    accuracy_by_known(many, [0, 50], "known labels (%)", tmp_path / "known.png")
    accuracy_by_time(many, tmp_path / "time.png")
    for name in ("known.png", "time.png"):
        width, height = open_image(tmp_path / name).size
        assert width > 600 and height > 300
