"""The study of calibration: its measures against plain counts, its page from its figures."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from benchmarks import calibration
from ctran.analysis.fits import BINS
from ctran.evaluation.evaluate import SettingLogits
from ctran.masking import EvalSetting


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
            "nats_before": 0.05,
            "nats_after": 0.04,
            "reliability_before": bins,
            "reliability_after": bins,
        }
        row, kept = figures | rest, {"thresholds": {"cat": 0.2}, "reasons": ["thresholds of 3 of 4 labels stay one half"]}
        small = [row, row | {"temperature": 1.0, "ece_after": 0.025, "OF1_own": 47.0 + shift}]
        return {"rows": [row] * 4, "kept": kept, "labels": 4, "small": [each for each in small for _ in range(4)]}

    found = json.loads(json.dumps({"0": run(0), "1": run(2)}))
    calibration.write_page(found)
    text = (tmp_path / "calibration.md").read_text()
    assert "| 50 % | 1.20 ± 0.00 | 2.00 ± 0.00 | 1.00 ± 0.00 | 50.0 ± 0.0 | 40.0 ± 0.0 |" in text and "| 51.0 ± 1.4 |" in text
    assert "| 50 % | 50 % | 2.00 | 1.75 (+0.50) | 50.0 | 40.0 (-10.0) | 51.0 | 49.5 (-3.0) |" in text
    assert "mean and standard deviation over the seeds 0, 1" in text
    assert "* seed 1: 1 of 4 labels have their own threshold; thresholds of 3 of 4 labels stay one half." in text
    assert (tmp_path / "calibration.png").stat().st_size > 1000


def test_parts_of_val_keep_truth_and_outputs_together(generator):
    truth = torch.randint(0, 3, (100, 5), generator=generator)
    found = [SettingLogits(EvalSetting(share), truth, truth.double(), truth[:, 0] / 2) for share in (0.0, 0.5)]
    made = calibration.parts(truth, found)
    assert len(made) == calibration.PARTS and not torch.equal(made[0][0], made[1][0])
    for part, outputs in made:
        assert len(part) == calibration.SMALL
        for output in outputs:
            assert torch.equal(output.states, part) and torch.equal(output.logits, part.double())
            assert torch.equal(output.given, part[:, 0] / 2)
