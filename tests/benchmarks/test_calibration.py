"""The study of calibration: its measures against plain counts, its page from its figures."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmarks import calibration
from ctran.analysis.fits import BINS


def test_mean_f1_is_that_of_scikit_learn_over_labels_that_are_somewhere(rng):
    called, positive = rng.random((40, 5)) < 0.4, rng.random((40, 5)) < 0.3
    positive[:, 2] = False
    everything = np.ones_like(called)
    expected = [f1_score(positive[:, n], called[:, n]) for n in (0, 1, 3, 4)]
    assert calibration.mean_f1(called, positive, everything) == pytest.approx(100 * np.mean(expected))
    half = rng.random((40, 5)) < 0.5
    expected = [f1_score(positive[half[:, n], n], called[half[:, n], n]) for n in (0, 1, 3, 4)]
    assert calibration.mean_f1(called, positive, half) == pytest.approx(100 * np.mean(expected))


def test_bins_hold_predicted_and_observed_sums():
    bins = calibration.reliability(np.array([0.0, 0.01, 0.5, 1.0]), np.array([False, True, True, True]))
    assert len(bins) == BINS and [row[0] for row in bins if row[0]] == [2, 1, 1]
    assert bins[0] == [2, pytest.approx(0.005), 0.5] and bins[-1] == [1, 1.0, 1.0]


def test_the_page_has_means_and_spreads(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "OUT", tmp_path / "calibration.json")
    bins = [[30, (n + 0.5) / 15, n / 15] for n in range(15)]

    def run(shift):
        figures = dict.fromkeys(calibration.FIGURES, 50.0 + shift)
        rest = {
            "temperature": 1.2,
            "ece_before": 0.02,
            "ece_after": 0.01,
            "reliability_before": bins,
            "reliability_after": bins,
        }
        return {"rows": [figures | rest] * 4, "thresholds": [0.2, 0.4], "few": 1}

    found = json.loads(json.dumps({"0": run(0), "1": run(2)}))
    calibration.write_page(found)
    text = (tmp_path / "calibration.md").read_text()
    assert "| 50 % | 1.20 ± 0.00 | 2.00 ± 0.00 | 1.00 ± 0.00 |" in text and "| 51.0 ± 1.4 |" in text
    assert "the median is 0.30" in text and (tmp_path / "calibration.png").stat().st_size > 1000
