"""A calibration does no harm: what is too little evidence changes nothing, what is enough does."""

import numpy as np
import pytest
import torch

from ctran.analysis.calibrate import fit_calibration, qualities
from ctran.analysis.f1 import pooled
from ctran.analysis.fits import fit_temperature, has_optimum, nats, shrink_threshold
from ctran.analysis.temperatures import fit_share
from ctran.analysis.thresholds import LEAST, fit_labels
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder
from ctran.evaluation.evaluate import SettingLogits
from ctran.labels import Group, LabelSpace
from ctran.masking import EvalSetting

SPACE = LabelSpace(tuple(f"label {n}" for n in range(12)))
BASE = torch.linspace(-4, -1, len(SPACE))


def world(pictures, generator, factor=1.0):
    """Truth of rare and of common labels, drawn from the probabilities of logits, and these logits times ``factor``."""
    honest = BASE + 2 * torch.randn(pictures, len(SPACE), generator=generator)
    truth = (torch.rand(honest.shape, generator=generator) < honest.sigmoid()).long() + 1
    return truth, factor * honest


def output(truth, logits):
    return SettingLogits(EvalSetting(), torch.zeros_like(truth), logits)


def worse(before, after):
    """Standard errors by which the mean of ``after`` lies above that of ``before``, in pairs."""
    rise = after - before
    return float(rise.mean() / (rise.std() / len(rise) ** 0.5)) if bool((rise != 0).any()) else 0.0


@pytest.mark.parametrize("pictures", [30, 67])
def test_with_few_pictures_a_calibrated_model_stays_calibrated(pictures):
    """Of 25 honest models, none is significantly worse on new pictures in log-loss, in calibration error or in OF1."""
    changed, seen = 0, 300
    for seed in range(25):
        generator = torch.Generator().manual_seed(seed)
        truth, logits = world(pictures, generator)
        calibration = fit_calibration(truth, [output(truth, logits)], SPACE).calibration
        if calibration.changes_nothing:
            continue
        changed += 1
        truth, logits = world(seen, generator)
        losses = [nats(logits.double() / t, truth, torch.zeros_like(truth)) for t in (1.0, calibration.temperatures[0])]
        [row] = qualities(truth, [output(truth, logits)], SPACE, calibration)
        assert worse(*losses) < 3 and row.ece_after < row.ece_before + 0.01 and row.OF1_own > row.OF1_half - 3
    assert changed <= 5, "two standard errors are exceeded by chance in one of forty"


def test_a_temperature_needs_evidence_and_gets_closer_to_its_maximum_with_more(generator):
    truth, logits = world(4000, generator, 2.0)
    nothing = torch.zeros_like(truth)
    shrunk = [fit_temperature(logits[:n], truth[:n], nothing[:n]) for n in (5, 4000)]
    free = [fit_temperature(logits[:n], truth[:n], nothing[:n], prior=0) for n in (5, 4000)]
    assert abs(np.log(shrunk[0])) < 0.8 * abs(np.log(free[0])) and shrunk[1] == pytest.approx(free[1], rel=0.01)
    found = fit_share(truth, [output(truth, logits)], SPACE)
    assert found.kept and found.temperature == pytest.approx(2, rel=0.06) and found.ece_after < found.ece_before


def test_a_strong_prior_gives_a_temperature_of_one_in_groups_too(generator):
    truth, logits = world(50, generator, 3.0)
    nothing, groups = torch.zeros_like(truth), [torch.arange(4)]
    truth[:, :4] = 1 + torch.nn.functional.one_hot(logits[:, :4].argmax(dim=1), 4)
    truth[:9, 0] = 0  # an annotation with holes
    assert fit_temperature(logits, truth, nothing, groups, prior=1e7) == pytest.approx(1, abs=1e-3)


def test_repeated_draws_of_the_same_pictures_are_no_further_evidence(generator):
    truth, logits = world(40, generator, 2.0)
    once = fit_temperature(logits, truth, torch.zeros_like(truth))
    four = [each.repeat(4, 1) for each in (logits, truth, torch.zeros_like(truth))]
    assert fit_temperature(*four, draws=4) == pytest.approx(once, rel=1e-4)
    assert fit_temperature(*four) != pytest.approx(once, rel=1e-3)


def test_a_temperature_that_gains_likelihood_but_loses_calibration_is_refused(generator):
    """Many honest small probabilities, and one label that is far too sure: no temperature serves both."""
    honest = torch.full((1000, len(SPACE)), -4.0)
    honest[:, 0] = 0
    truth = (torch.rand(honest.shape, generator=generator) < honest.sigmoid()).long() + 1
    honest[:, 0] = 8 * torch.randn(1000, generator=generator)
    found = fit_share(truth, [output(truth, honest)], SPACE)
    assert found.gain > 2 * found.error and found.ece_after > found.ece_before
    assert not found.kept and "worse calibrated" in found.reason and found.temperature == 1


@pytest.mark.parametrize("factor", [1e-9, 1.0])
def test_a_likelihood_without_a_maximum_is_noticed(factor, generator):
    truth, logits = world(60, generator)
    nothing = torch.zeros_like(truth)
    apart = factor * torch.where(truth == 2, 1.0, -1.0)
    assert not has_optimum(apart, truth, nothing) and not has_optimum(-apart, truth, nothing)
    assert has_optimum(logits, truth, nothing)


def far(pictures, generator, shift=3.0):
    """Twelve labels predicted with far too little probability, so that their best thresholds lie far below one half."""
    truth, logits = world(pictures, generator)
    return truth, logits - shift


def test_a_label_whose_best_threshold_is_far_from_one_half_gets_it_with_enough_pictures(generator):
    truth, logits = far(3000, generator)
    found, reason = fit_labels(truth, [[output(truth, logits)]], SPACE, Calibration(), None)
    assert not reason and all(fit.kept and fit.fitted < 0.15 for fit in found)
    assert all(fit.F1_own > fit.F1_half + 2 * fit.error for fit in found)


def test_a_label_with_three_positives_keeps_one_half_whatever_the_others_do(generator):
    truth, logits = far(1000, generator)
    truth[:, 0] = 1
    truth[logits[:, 0].topk(3).indices, 0] = 2
    fit = fit_calibration(truth, [output(truth, logits)], SPACE)
    assert "label 0" not in fit.calibration.thresholds and "label 5" in fit.calibration.thresholds
    [rare] = [each for each in fit.labels if each.label == "label 0"]
    assert rare.pictures == 3 and rare.reason == f"fewer than {LEAST} pictures have the label" and rare.fitted is None


def test_thresholds_are_kept_label_by_label(generator):
    """Labels with honest random guesses gain nothing; the others do."""
    truth, logits = far(3000, generator)
    truth[:, 6:] = (torch.rand(3000, 6, generator=generator) < 0.5).long() + 1
    logits[:, 6:] = torch.where(truth[:, 6:] == 2, 1.0, -1.0)  # one half is right, and any between 0.27 and 0.73
    fit = fit_calibration(truth, [output(truth, logits)], SPACE)
    assert set(fit.calibration.thresholds) == set(SPACE.names[:6])
    assert {each.reason.split(",")[0] for each in fit.labels[6:]} == {"no greater F1 on pictures left out of the fit"}


def test_a_threshold_that_costs_more_over_all_labels_than_it_gains_is_refused(generator):
    """A label that is hard to find has its best F1 with many false predictions, to which OF1 is worse."""
    truth, logits = world(3000, generator)
    truth[:, 2:] = torch.where(logits[:, 2:] > 0, 2, 1)  # easy ones: OF1 is high
    noise = torch.rand(3000, generator=generator)
    truth[:, 0] = (noise < 0.2).long() + 1
    logits[:, 0] = -1.4 + 0.3 * torch.randn(3000, generator=generator)
    found, _ = fit_labels(truth, [[output(truth, logits)]], SPACE, Calibration(), None)
    assert not found[0].kept and "OF1" in found[0].reason and found[0].F1_own > found[0].F1_half


def test_one_label_is_judged_by_its_own_gain_and_many_noisy_ones_by_their_mean():
    rng = np.random.default_rng(0)
    moved = rng.normal(0, 0.1, (400, 1))
    gain, error = pooled(moved, np.array([1.0]))
    assert gain == pytest.approx([1]) and error == pytest.approx(np.sqrt((moved**2).sum()))
    moved = rng.normal(0, 0.1, (400, 200))  # standard error 2 each, about a gain of 1
    gain, error = pooled(moved, 1 + moved.sum(axis=0))
    assert np.abs(gain - 1).max() < 0.7 and error.max() < 0.7
    apart = np.repeat([-50.0, 50.0], 100)
    gain, error = pooled(moved, apart + moved.sum(axis=0))
    assert np.abs(gain - apart).max() < 10 and error.min() > 1.5


@pytest.mark.parametrize("threshold", [0.02, 0.5, 0.9])
def test_a_threshold_is_shrunk_towards_one_half_by_its_positives(threshold):
    path = [shrink_threshold(threshold, n) for n in (0, 3, 20, 1e9)]
    logit = np.log(threshold / (1 - threshold))
    assert path[0] == 0.5 and path[-1] == pytest.approx(threshold)
    assert np.log(path[2] / (1 - path[2])) == pytest.approx(logit / 2, abs=1e-12)
    assert (np.diff(np.abs(np.array(path) - 0.5)) >= 0).all()


def test_groups_and_known_labels_are_decoded_as_in_predictions(generator):
    """Only labels outside exclusive groups that are not known get a threshold; figures are those of the decoder."""
    space = LabelSpace(
        SPACE.names, groups=(Group("one", SPACE.names[:4], exclusive=True),), implications=(("label 4", "label 5"),)
    )
    truth, logits = far(600, generator)
    truth[:, :4] = 1 + torch.nn.functional.one_hot(logits[:, :4].argmax(dim=1), 4)
    truth[:, 5] = torch.where(truth[:, 4] == 2, 2, truth[:, 5])
    states = torch.where(torch.rand(truth.shape, generator=generator) < 0.3, truth, 0)
    draws = [
        SettingLogits(EvalSetting(0.25), states, logits),
        SettingLogits(EvalSetting(0.25), torch.zeros_like(truth), logits),
    ]
    fit = fit_calibration(truth, draws, space)
    assert len(fit.shares) == 1 and 0.1 < fit.shares[0].known_share < 0.2
    assert {each.label for each in fit.labels} == set(space.names[4:])
    present = draws[0].present(Decoder(space, fit.calibration))
    assert (present[:, :4].sum(dim=1) <= 1).all() and not (present[:, 4] & ~present[:, 5]).any()


def test_what_is_kept_and_refused_is_said_and_written(generator):
    truth, logits = far(1500, generator)
    fit = fit_calibration(truth, [output(truth, logits)], SPACE)
    about = fit.as_dict()
    assert len(about["temperatures"]) == 1 and len(about["thresholds"]) == len(SPACE)
    assert "thresholds of 12 of 12 labels by greatest F1" in fit.kept
    assert Calibration.from_dict(about["calibration"], SPACE) == fit.calibration
    truth, logits = world(25, generator)
    fit = fit_calibration(truth, [output(truth, logits)], SPACE)
    assert not fit.kept and fit.calibration.changes_nothing
    assert (
        "0 % known: temperature 1 is kept" in fit.calibration.reasons[0]
        and "labels stay one half" in fit.calibration.reasons[-1]
    )
