"""Temperatures, thresholds and the calibration error against plain loops."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import ctran
from ctran.analysis.calibrate import fit_calibration, qualities, remove_calibration, write_calibration
from ctran.analysis.fits import (
    expected_calibration_error,
    fit_temperature,
    fit_thresholds,
)
from ctran.constraints.calibration import Calibration
from ctran.data.loading import Batch
from ctran.evaluation.evaluate import SettingLogits, predict
from ctran.folders.tagger import ModelFolderError
from ctran.images.transforms import Preprocessing
from ctran.inference.predictor import Predictor
from ctran.labels import Group, LabelSpace, LabelState, UnknownLabelError
from ctran.masking import EvalSetting, known_labels
from ctran.model import Features, Method
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY


class Constant(Method):
    """A model with these logits, whatever it sees."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def predict_labels(self, features, states, *, hide_image=None):
        return self.logits


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_logits_is_found(true, generator):
    honest = 2 * torch.randn(4000, 5, generator=generator)
    truth = (torch.rand(4000, 5, generator=generator) < honest.sigmoid()).long() + 1
    assert fit_temperature(honest * true, truth, torch.zeros_like(truth)) == pytest.approx(true, rel=0.06)


def test_the_temperature_of_a_group_is_that_of_its_softmax(generator):
    honest = 2 * torch.randn(6000, 4, generator=generator)
    best = torch.multinomial(honest.softmax(dim=1), 1, generator=generator)
    truth = torch.ones(6000, 4, dtype=torch.long).scatter(1, best, 2)
    groups = [torch.arange(4)]
    assert fit_temperature(honest * 2, truth, torch.zeros_like(truth), groups) == pytest.approx(2, rel=0.06)


def test_known_entries_do_not_count(generator):
    honest = 2 * torch.randn(4000, 2, generator=generator)
    truth = (torch.rand(4000, 2, generator=generator) < honest.sigmoid()).long() + 1
    states = torch.zeros_like(truth)
    states[:, 1] = truth[:, 1]
    wrong = torch.stack([honest[:, 0], -50 * honest[:, 1]], dim=1)
    assert fit_temperature(wrong, truth, states) == pytest.approx(1, rel=0.1)


def test_labels_separated_without_error_get_a_finite_temperature():
    logits = torch.tensor([[5.0], [-5.0]])
    assert 0 < fit_temperature(logits, torch.tensor([[2], [1]]), torch.zeros(2, 1, dtype=torch.long)) < 1


def f1(p, true, threshold):
    called = p >= threshold
    return 2 * (called & true).sum() / max(1, called.sum() + true.sum())


def test_thresholds_have_the_greatest_f1():
    rng = np.random.default_rng(0)
    p = rng.random((40, 6)).round(1)  # with ties
    true, counted = rng.random((40, 6)) < p, rng.random((40, 6)) < 0.8
    for label, found in enumerate(fit_thresholds(p, true, counted, prior=0)):
        here = counted[:, label]
        best = max(f1(p[here, label], true[here, label], t) for t in np.unique(p[here, label]))
        assert f1(p[here, label], true[here, label], found) == pytest.approx(best)


def test_thresholds_have_the_wanted_precision_and_are_the_least():
    p, true = np.array([[0.9], [0.8], [0.7], [0.6], [0.5], [0.1]]), np.array([[1], [0], [1], [1], [0], [0]]) > 0
    everything = np.ones_like(true)
    assert fit_thresholds(p, true, everything, precision=0.75, prior=0) == [pytest.approx(0.55)]
    assert fit_thresholds(p, true, everything, precision=1.0, prior=0) == [pytest.approx(0.85)]
    assert fit_thresholds(p[1:], true[1:], everything[1:], precision=0.9, prior=0) == [1.0]


def test_few_positives_do_not_drag_a_threshold_down():
    p = np.append(np.full(50, 0.9), np.append(np.full(500, 0.02), [0.021]))[:, None]
    true = np.append(np.full(1, True), np.append(np.full(549, False), [True]))[:, None]
    everything = np.ones_like(true)
    (exact,), (mixed,) = fit_thresholds(p, true, everything, prior=0), fit_thresholds(p, true, everything)
    assert exact < 0.03 and mixed == pytest.approx((0.9 + 0.021) / 2)


def test_labels_without_a_positive_get_no_threshold():
    assert fit_thresholds(np.array([[0.3], [0.4]]), np.zeros((2, 1), bool), np.ones((2, 1), bool)) == [None]


def test_the_calibration_error_is_that_of_plain_loops():
    rng = np.random.default_rng(1)
    p = np.append(rng.random(300), [0.0, 1.0])
    true = rng.random(302) < p**2
    total = 0.0
    for number in range(15):
        here = (p >= number / 15) & ((p < (number + 1) / 15) | (number == 14))
        if here.any():
            total += here.mean() * abs(p[here].mean() - true[here].mean())
    assert expected_calibration_error(p, true) == pytest.approx(total)
    assert np.isnan(expected_calibration_error(p[:0], true[:0]))


def test_temperatures_are_interpolated_over_the_known_share():
    calibration = Calibration((0.0, 0.5), (1.0, 2.0))
    states = torch.tensor([[0, 0, 0, 0], [2, 0, 0, 0], [1, 2, 0, 0], [1, 2, 1, 1]])
    assert calibration.temperature_of(states).tolist() == [1, 1.5, 2, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"known_shares": (0.0, 0.5)}, "a temperature a share"),
        ({"known_shares": (0.5, 0.5), "temperatures": (1.0, 1.0)}, "must increase"),
        ({"temperatures": (0.0,)}, "greater than 0"),
        ({"thresholds": {"cat": 1.5}}, "between 0 and 1, got 1.5 for 'cat'"),
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Calibration(**wrong)


@pytest.fixture
def tagger(labels):
    return build_tagger(read_recipe(None, TOY), labels)


@pytest.fixture
def picture():
    return Image.effect_noise((40, 30), 90).convert("RGB")


def test_a_model_folder_keeps_its_calibration_and_predicts_with_it(tagger, picture, tmp_path):
    tagger.save(tmp_path / "model")
    plain = tagger.predict(picture)
    first, *_, last = plain.probabilities
    write_calibration(Calibration((0.0,), (2.0,), {first: 1.0, last: 0.0}), tmp_path / "model")
    again = ctran.load(tmp_path / "model")
    said = again.predict(picture)
    for name, p in plain.probabilities.items():
        logit = np.log(p / (1 - p)) / 2
        assert said.probabilities[name] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    assert last in said.labels and first not in said.labels
    assert again.predict(picture, threshold=0.0).labels == list(said.probabilities)
    assert again.fast().predict(picture).labels == said.labels
    mine = again.predict(picture, threshold={first: 0.0}).labels
    assert {first, last} <= set(mine)  # named ones as given, others as fitted
    with pytest.raises(UnknownLabelError, match="unknown label 'horse'"):
        again.predict(picture, threshold={"horse": 0.5})
    with pytest.raises(ValueError, match=f"threshold of '{first}': expected a probability from 0 to 1, got 2"):
        again.session(picture).predict(threshold={first: 2})
    again.save(tmp_path / "copy")
    assert ctran.load(tmp_path / "copy").calibration == again.calibration
    remove_calibration(tmp_path / "model")
    assert ctran.load(tmp_path / "model").predict(picture) == plain


def test_a_calibration_of_other_labels_or_format_is_refused(tagger, tmp_path):
    tagger.save(tmp_path / "model")
    path = write_calibration(Calibration(thresholds={"horse": 0.5}), tmp_path / "model")
    with pytest.raises(ModelFolderError, match=r"calibration.json is damaged.*horse"):
        ctran.load(tmp_path / "model")
    path.write_text(json.dumps({"format": 7}))
    with pytest.raises(ModelFolderError, match=r"calibration.json .*format 7"):
        ctran.load(tmp_path / "model")
    with pytest.raises(UnknownLabelError):
        Calibration.from_dict(Calibration(thresholds={"horse": 0.5}).as_dict(), tagger.labels)


PLAIN = LabelSpace(("a", "b", "c", "d"))


def drawn(pictures, generator, factor=1.0):
    """Logits, ``factor`` times too sure, and truth drawn from their probabilities."""
    honest = 2 * torch.randn(pictures, 4, generator=generator) - 1
    truth = (torch.rand(pictures, 4, generator=generator) < honest.sigmoid()).long() + 1
    return truth, factor * honest


def fit(truth, logits, **options):
    found = [SettingLogits(EvalSetting(), torch.zeros_like(truth), logits)]
    return fit_calibration(truth, found, PLAIN, **options).calibration


@pytest.mark.parametrize("precision", [None, 0.9])
@pytest.mark.parametrize(
    ("pictures", "change", "reason"),
    [
        (4, lambda truth, logits: (truth, logits), "only 4 pictures have labels to predict"),
        (100, lambda truth, logits: (torch.ones_like(truth), logits), "no label to predict is positive in any picture"),
        (100, lambda truth, logits: (torch.full_like(truth, 2), logits), "positive in every picture"),
        (100, lambda truth, logits: (torch.zeros_like(truth), logits), "only 0 pictures"),
    ],
)
def test_nothing_is_fitted_where_the_pictures_are_too_few(pictures, change, reason, precision, generator):
    found = fit(*change(*drawn(pictures, generator, 3.0)), precision=precision)
    assert set(found.temperatures) == {1.0} and not found.thresholds
    assert len(found.reasons) == 2 and all(reason in each for each in found.reasons)


def test_a_temperature_at_its_bound_is_never_kept(generator):
    truth, _ = drawn(100, generator)
    sure = torch.where(truth == LabelState.POSITIVE, 1.0, -1.0)  # told apart without error: ever greater logits are likelier
    for logits in (sure, -sure, 1e-9 * sure):
        found = fit(truth, logits)
        assert found.temperatures == (1.0,) and "runs to its bound" in found.reasons[0]


@pytest.mark.parametrize(("factor", "kept"), [(1.0, True), (3.0, False)])
def test_a_temperature_is_kept_only_where_it_helps_pictures_that_it_was_not_fitted_on(factor, kept, generator):
    found = fit(*drawn(400, generator, factor))
    assert (found.temperatures == (1.0,)) is kept
    assert any("no better on pictures left out" in reason for reason in found.reasons) is kept


def test_thresholds_are_kept_only_where_they_help_pictures_that_they_were_not_fitted_on(generator):
    truth, _ = drawn(60, generator)
    found = fit(truth, torch.randn(60, 4, generator=generator) + 9)  # yes to everything is the best that chance can do
    assert not found.thresholds and "no greater F1 on pictures left out" in found.reasons[-1]
    truth, logits = drawn(1000, generator)
    assert fit(truth, logits - 2).thresholds  # present far more often than predicted


def test_temperatures_are_stored_and_found_under_the_share_that_is_really_known(generator):
    """Of truth with holes a nominal half gives less; what follows from it by an implication is not counted."""
    labels = LabelSpace(("a", "b", "c", "d"), implications=(("a", "b"),))
    truth, logits = drawn(500, generator, 4.0)
    truth[:, 1] = torch.where(truth[:, 0] == 2, 2, truth[:, 1])
    truth[:, 2:] = torch.where(torch.rand(500, 2, generator=generator) < 0.5, truth[:, 2:], 0)
    ids = [str(i) for i in range(500)]
    model = Constant(logits)
    batch = Batch(Features(torch.zeros(500, 4, 4), (2, 2)), truth, torch.arange(500))
    _, found = predict(model, [batch], ids, labels, [EvalSetting(), EvalSetting(0.5)])
    given = (known_labels(EvalSetting(0.5), truth, ids, labels) & (truth != 0)).float().mean(dim=1)
    fitted = fit_calibration(truth, found, labels).calibration
    assert fitted.known_shares == (0.0, pytest.approx(float(given.mean()))) and 0.3 < fitted.known_shares[1] < 0.45
    assert (found[1].states != 0).float().mean() > fitted.known_shares[1] + 0.02
    steep = Calibration(fitted.known_shares, (1.0, 5.0))
    predictor = Predictor(Constant(logits[:1]), labels, Preprocessing(64), steep)
    states = labels.states({"a": True})[None]  # a quarter is given, b follows
    expected = np.interp(0.25, steep.known_shares, steep.temperatures)
    features = Features(torch.zeros(1, 1, 1), (1, 1))
    assert predictor.marginals(features, states)[0, 2] == pytest.approx(float((logits[0, 2] / expected).sigmoid()), rel=1e-5)
    rows = qualities(truth, found, labels, steep)
    assert [row.known_share for row in rows] == [0, pytest.approx(float(given.mean()))]
    assert rows[1].temperature == pytest.approx(float(steep.temperature_at(given.double().numpy()).mean()))


def test_shares_that_give_no_more_labels_are_left_out(generator):
    truth, logits = drawn(100, generator)
    found = [SettingLogits(EvalSetting(share), torch.zeros_like(truth), logits) for share in (0.0, 0.25)]
    fitted = fit_calibration(truth, found, PLAIN).calibration
    assert fitted.known_shares == (0.0,) and "give as many labels as at 0 %" in " ".join(fitted.reasons)


def test_fitting_makes_overconfident_probabilities_honest(generator):
    labels = LabelSpace(("a", "b", "c", "d"), groups=(Group("one", ("c", "d"), exclusive=True),))
    honest = 2 * torch.randn(3000, 4, generator=generator)
    honest[:, :2] -= 2  # rare labels, whose best threshold is well below one half
    truth = (torch.rand(3000, 4, generator=generator) < honest.sigmoid()).long() + 1
    one = torch.rand(3000, generator=generator) < (honest[:, 2] - honest[:, 3]).sigmoid()
    truth[:, 2], truth[:, 3] = one.long() + 1, 2 - one.long()
    found = [
        SettingLogits(EvalSetting(share), torch.zeros_like(truth), factor * honest, torch.full((3000,), share))
        for share, factor in ((0.0, 3.0), (0.5, 0.5))
    ]
    calibration = fit_calibration(truth, found, labels).calibration
    assert calibration.temperatures == pytest.approx((3, 0.5), rel=0.1)
    assert set(calibration.thresholds) == {"a", "b"}  # of a group the most probable label is taken
    for row in qualities(truth, found, labels, calibration):
        assert row.ece_after < 0.03 < row.ece_before
        assert row.CF1_own >= row.CF1_half - 0.5
