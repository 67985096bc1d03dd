"""Similarities to training pictures in place of the features: the kernel, its coordinates, and models that use it."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel

from ctran import registry
from ctran.data import sources
from ctran.data.feature_table import FeatureTable
from ctran.folders.tagger import Tagger
from ctran.methods import _kernel
from ctran.methods._kernel import NORM, Landmarks, Whiten
from tests.conftest import draw_folder
from tests.methods.test_contract import tagger_of
from tests.methods.test_fitted import L2, features_of
from tests.methods.training import model_of

GAUSSIAN = ["--model.kernel", "gaussian"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A training table of four labels."""
    source = registry.find(sources, "imagefolder")
    root = draw_folder(tmp_path_factory.mktemp("kernel") / "pictures")
    return source.build(source.Config(root=root, absent="negative"))["train"]


def drawn(pictures, channels, seed=0):
    return torch.randn(pictures, channels, generator=torch.Generator().manual_seed(seed))


def fitted_landmarks(rows):
    found = Landmarks(rows.shape[1])
    found.fit(rows, rows.mean(dim=0), 1 / rows.std(dim=0), seed=0)
    return found


def test_similarities_are_scikit_learns_and_the_median_pair_has_that_of_one_width():
    rows = drawn(60, 5)
    landmarks = fitted_landmarks(rows)
    points = (rows - rows.mean(dim=0)) / rows.std(dim=0)
    new = drawn(7, 5, seed=1)
    expected = rbf_kernel(((new - rows.mean(dim=0)) / rows.std(dim=0)).numpy(), points.numpy(), gamma=float(landmarks.rate))
    assert torch.allclose(landmarks(new), torch.from_numpy(expected), atol=1e-5)
    pairs = landmarks.among()[torch.ones(60, 60).triu(1).bool()]
    assert float(pairs.median()) == pytest.approx(torch.exp(torch.tensor(-1.0)).item(), abs=0.01)


def test_scalar_products_of_the_coordinates_are_the_centred_kernel():
    rows = drawn(40, 5)
    landmarks = fitted_landmarks(rows)
    kernel = landmarks(rows)
    whiten = Whiten.of(kernel, landmarks.among())
    inputs = whiten(kernel)
    centring = torch.eye(40) - 1 / 40
    expected = centring @ kernel @ centring
    expected = expected * NORM**2 / expected.diagonal().mean()
    assert torch.allclose(inputs @ inputs.T, expected, atol=1e-2 * float(expected.abs().max()))
    weight, bias = drawn(3, inputs.shape[1], seed=2), drawn(1, 3)[0]
    plain, shift = whiten.fold(weight, bias)
    assert torch.allclose(kernel @ plain.T + shift, inputs @ weight.T + bias, atol=1e-2)


@torch.no_grad()
def test_logits_rank_as_scikit_learns_logistic_regression_of_the_kernel():
    channels = model_of("pairwise", 2).backbone.channels
    rows = drawn(80, channels)
    truth = 1 + torch.stack([rows[:, 0] * rows[:, 1] > 0, rows[:, 2] > 0], dim=1).long()
    model = model_of("pairwise", 2, *GAUSSIAN, *L2)
    inputs, given = model.input_table(FeatureTable(rows[None], truth))
    images = model.fit_images(inputs, given)
    coordinates = given(inputs.views[0]).numpy()
    oracle = LogisticRegression(C=1 / (images.l2 * 80), tol=1e-8, max_iter=10_000)
    for label in range(2):
        oracle.fit(coordinates, (truth[:, label] == 2).numpy())
        expected = torch.from_numpy(oracle.decision_function(coordinates)).float()
        found = model.image_logits(features_of(rows))[:, label]
        assert torch.allclose(found, images.scale * expected + images.shift, atol=0.05)  # of about 2


@torch.no_grad()
def test_it_separates_what_no_linear_layer_can():
    channels = model_of("pairwise", 1).backbone.channels
    rows = torch.zeros(400, channels)
    rows[:, :2] = drawn(400, 2)
    truth = 1 + (rows[:, :1] * rows[:, 1:2] > 0).long()
    accuracy = {}
    for kernel in ("none", "gaussian"):
        model = model_of("pairwise", 1, "--model.kernel", kernel, "--model.image_l2", "0.01", "--model.label_l2", "0.001")
        model.fit_features(FeatureTable(rows[None, :300], truth[:300]))
        logits = model.predict_labels(features_of(rows[300:]), torch.zeros(100, 1, dtype=torch.long))
        accuracy[kernel] = float(((logits > 0) == (truth[300:] == 2)).float().mean())
    assert accuracy["gaussian"] > 0.9 > 0.7 > accuracy["none"]


@torch.no_grad()
def test_of_many_pictures_a_sample_is_kept_and_serves_as_well(monkeypatch):
    rows = drawn(300, 6)
    monkeypatch.setattr(_kernel, "LANDMARKS", 60)
    some = fitted_landmarks(rows)
    assert len(some.points) == 60
    kernel = some(rows)
    inputs = Whiten.of(kernel, some.among())(kernel)
    monkeypatch.undo()
    exact = fitted_landmarks(rows)(rows)
    exact = exact - exact.mean(dim=0) - exact.mean(dim=1, keepdim=True) + exact.mean()
    approximate = inputs @ inputs.T
    assert torch.corrcoef(torch.stack([exact.flatten(), approximate.flatten()]))[0, 1] > 0.9


@torch.no_grad()
def test_pictures_that_all_look_alike_and_a_single_picture_are_fitted():
    model = model_of("pairwise", 2, *GAUSSIAN, *L2)
    truth = torch.tensor([[2, 1], [1, 1], [2, 2], [1, 2]])
    for rows in (torch.ones(4, model.backbone.channels), torch.ones(1, model.backbone.channels)):
        model.fit_features(FeatureTable(rows[None], truth[: len(rows)]))
        assert model.predict_labels(features_of(rows), torch.zeros(len(rows), 2, dtype=torch.long)).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("method", ["pairwise", "residual"])
def test_a_model_folder_has_as_many_landmarks_as_were_fitted(method, table, tmp_path):
    tagger = tagger_of(method, table, None, *GAUSSIAN)
    tagger.save(tmp_path / "model")
    loaded = Tagger.load(tmp_path / "model", "cpu")
    assert len(loaded.model.landmarks.points) == len(table) == loaded.model.weight.shape[1]
    picture = drawn(1, 3 * 64 * 64, seed=3).reshape(1, 3, 64, 64)
    states = torch.zeros(1, 4, dtype=torch.long)
    assert torch.equal(loaded.model(picture, states), tagger.model(picture, states))
