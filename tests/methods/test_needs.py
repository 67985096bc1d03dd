"""Methods that use inner maps, take gradients while they predict, or work on the grid: through training, server and export."""

import numpy as np
import pytest
import torch

import ctran
from ctran import methods, registry
from ctran.cli.main import main
from ctran.data.loading import PictureSet
from ctran.errors import UserError
from ctran.methods.linear import Linear
from ctran.model import Features
from ctran.training.fit import fit
from ctran.training.pipeline import build_tagger, prepare
from tests.conftest import stirred
from tests.methods.test_statistics import recipe_of

pytestmark = pytest.mark.usefixtures("toys")


FROZEN = ("--training.backbone_learning_rate", "0", "--training.feature_views", "2", "--training.augmentation", "flip")


def test_inner_maps_are_kept_on_disk_and_train_as_those_from_the_network(folder):
    parts = prepare(recipe_of("inner_map", folder, *FROZEN))
    data = parts.train.dataset
    kept, model = data.__getitems__([0, 3]).inputs, parts.tagger.model
    pictures = PictureSet(parts.tables["train"], parts.labels, parts.tagger.preprocessing)
    with torch.no_grad():
        made = model.encode_images(torch.stack([pictures.image(row, 0) for row in (0, 3)]))
    cache = data.cache.read(np.zeros(2, dtype=int), np.array([0, 3]))  # view 0 is the test transform
    assert cache.maps.keys() == made.maps.keys() == kept.maps.keys() and cache.grid == made.grid
    scale = made.tokens.abs().max()
    assert all(torch.allclose(cache.arrays[name], made.arrays[name], atol=float(0.01 * scale)) for name in made.arrays)
    states = torch.zeros(2, 4, dtype=torch.long)
    assert torch.allclose(model.predict_labels(cache, states), model.predict_labels(made, states), atol=0.05)


def test_a_method_with_inner_maps_trains_and_validates_on_stored_features(folder, tmp_path):
    fit(recipe_of("inner_map", folder, *FROZEN, "--training.epochs", "1"), tmp_path / "run")
    assert ctran.load(tmp_path / "run", device="cpu").predict(folder / "00.png").probabilities


def test_a_method_may_keep_less_than_it_encodes(folder):
    """The toy trains on averages; they take one value a channel on disk, and give the same logits."""
    parts = prepare(recipe_of("averages", folder, *FROZEN))
    kept = parts.train.dataset.__getitems__([0, 3]).inputs
    assert kept.tokens.shape[1] == 1 and kept.grid == (1, 1)
    pictures = PictureSet(parts.tables["train"], parts.labels, parts.tagger.preprocessing)
    model, states = parts.tagger.model, torch.zeros(1, 4, dtype=torch.long)
    with torch.no_grad():
        made = model.encode_images(pictures.image(0, 0)[None])
        cache = parts.train.dataset.cache.read(np.array([0]), np.array([0]))
        assert torch.allclose(model.predict_labels(cache, states), model.predict_labels(made, states), atol=0.02)


def test_what_another_method_keeps_is_not_read_in_its_place(folder, monkeypatch):
    """Of equal name and shape: one keeps the mean over the tokens, the other the maximum."""
    toy = registry.find(methods, "averages").Averages
    first = prepare(recipe_of("averages", folder, *FROZEN)).train.dataset.cache

    def stored(self, features):
        return Features(features.tokens.amax(dim=1, keepdim=True), (1, 1))

    monkeypatch.setattr(toy, "stored", stored)
    second = prepare(recipe_of("averages", folder, *FROZEN)).train.dataset.cache
    assert first.folder != second.folder and not np.array_equal(first.arrays["tokens"], second.arrays["tokens"])
    monkeypatch.undo()
    assert prepare(recipe_of("linear", folder, *FROZEN)).train.dataset.cache.folder not in (first.folder, second.folder)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"not_cached": "it crops each picture again"}, "it crops each picture again"),
        ({"encode_images": lambda self, images: self.backbone(images)}, "it encodes images by itself"),
    ],
)
def test_a_method_that_cannot_be_cached_is_refused_by_name(folder, monkeypatch, change, why):
    for name, value in change.items():
        monkeypatch.setattr(registry.find(methods, "grid_pool").GridPool, name, value)
    with pytest.raises(UserError, match=rf"feature_views: method 'grid_pool' cannot keep its .* on disk: {why}.*; set it to 0"):
        prepare(recipe_of("grid_pool", folder, *FROZEN))


def test_a_method_with_gradients_trains_validates_predicts_and_is_not_exported(folder, tmp_path, capsys):
    fit(recipe_of("feedback", folder, "--training.epochs", "1"), tmp_path / "run")
    tagger = stirred(ctran.load(tmp_path / "run", device="cpu"))
    session = tagger.session(folder / "00.png")
    before, after = session.predict().probabilities, session.tell({"red": True}).predict().probabilities
    assert any(abs(after[name] - before[name]) > 1e-6 for name in after)
    assert after == pytest.approx(tagger.predict(folder / "00.png", {"red": True}).probabilities, abs=1e-5)
    assert not any(p.grad is not None for p in tagger.model.parameters())
    capsys.readouterr()
    command = [
        "export",
        str(tmp_path / "run"),
        "--output",
        str(tmp_path / "out"),
        "--format",
        "torch",
        "--pictures",
        str(folder),
    ]
    assert main(command) == 1
    assert "feedback on test_resnet cannot be exported: it computes gradients while it predicts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@torch.no_grad()
def test_steps_explain_the_known_labels_of_each_picture_by_itself(labels, folder, images):
    model = stirred(build_tagger(recipe_of("feedback", folder), labels)).model
    states = torch.tensor([[2, 0, 0, 0, 0, 0, 0], [0] * 7, [0, 1, 0, 0, 0, 0, 0]])
    plain, told = model(images, torch.zeros_like(states)), model(images, states)
    assert told[0, 0] > plain[0, 0] and told[2, 1] < plain[2, 1] and torch.equal(told[1], plain[1])


def test_known_concepts_take_the_percentiles_that_training_saw(folder, tmp_path):
    extra = ["--labels.extra", "[red, green, blue]"]  # the concepts; warm follows from them
    fit(recipe_of("bottleneck", folder, *extra, "--training.epochs", "1"), tmp_path / "run")
    tagger = stirred(ctran.load(tmp_path / "run", device="cpu"))
    model, space = tagger.model, tagger.labels
    low, high = model.percentiles.T
    assert (low < high).all() and not torch.equal(model.percentiles, torch.tensor([-1.0, 1.0]).repeat(4, 1))
    session = tagger.session(folder / "00.png")
    red, warm = space.index("red"), space.index("warm")
    with torch.no_grad():
        logits = Linear.predict_labels(model, session.features, torch.zeros(1, 4, dtype=torch.long))[0]
        expected = []
        for value in (logits[red], high[red], low[red]):
            concepts = torch.where(model.concepts, logits, 0.0)
            concepts[red] = value
            expected.append(float((logits + concepts @ model.of_concept @ model.of_label.T / 4)[warm].sigmoid()))
    found = [session.predict(known).probabilities["warm"] for known in ({}, {"red": True}, {"red": False})]
    assert found == pytest.approx(expected, abs=1e-5) and len(set(found)) == 3
