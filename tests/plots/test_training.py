"""Learning curves bear whatever a history holds."""

import math

import pytest

from ctran import plots
from ctran.evaluation.report import Setting
from ctran.images.transforms import open_image
from ctran.masking import EvalSetting
from ctran.metrics import Table
from ctran.plots.training import curve_name


def test_learning_curves_bear_what_does_not_exist(tmp_path):
    history = [
        {"epoch": n, "train_loss": 1.0 / n, "val_score": math.nan, "val_mAP_0": math.nan, "val_mAP_50": 50.0} for n in (1, 2)
    ]
    plots.learning_curves(history, tmp_path / "curves.png")
    assert open_image(tmp_path / "curves.png").size > (400, 200)


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        (EvalSetting(0.125), "12.5 % known"),
        (EvalSetting(groups=10), "10 groups known"),
        (EvalSetting(0.5, reveal="positives"), "50 % of positives known"),
    ],
)
def test_a_curve_is_named_after_its_setting(setting, name):
    nothing = Table(**dict.fromkeys(Table.__dataclass_fields__, math.nan))
    assert curve_name(Setting(setting, nothing, nothing, {}, 0.0).key) == name
