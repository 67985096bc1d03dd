"""Methods that are fitted in one step: what they find, what they may not see, and how they train."""

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch

import ctran
from ctran.cli.main import main
from ctran.data.feature_table import FeatureTable
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods import _image_fit, knn
from ctran.methods._duplicates import folds_of
from ctran.methods._image_fit import descend, fit_images, log_loss, rescaling
from ctran.methods._masked_rows import LabelFit
from ctran.methods._outer import choose, outer_fits, outer_folds
from ctran.model import Features
from ctran.training.fit import fit
from ctran.training.pipeline import prepare
from tests.methods.test_statistics import recipe_of
from tests.methods.training import model_of

KNOWN = ("pairwise", "stack", "sum")
L2 = ["--model.image_l2", "0.1", "--model.label_l2", "0.0003"]
"""Instead of cross-validation, for time."""
STEP = [
    *("--training.epochs", "0"),
    *("--training.feature_views", "2"),
    *("--training.backbone_learning_rate", "0"),
    *("--training.learning_rate", "1e-5"),
    *("--training.batch_size", "16"),
]
"""Instead of the toys' epochs, learning rate and batches."""


def world(pictures=1500, labels=4, seed=0, strength=2.5):
    """Labels of an Ising model, exactly drawn; image features that say nothing. Returns couplings, biases and truth."""
    generator = torch.Generator().manual_seed(seed)
    coupling = torch.randn(labels, labels, generator=generator).triu(1) * strength
    coupling, bias = coupling + coupling.T, torch.randn(labels, generator=generator) * 0.5
    states = torch.tensor(list(itertools.product((0.0, 1.0), repeat=labels)))
    energy = states @ bias + ((states @ coupling) * states).sum(dim=1) / 2
    rows = torch.multinomial(energy.softmax(dim=0), pictures, replacement=True, generator=generator)
    return coupling, bias, states[rows].long() + 1


def features_of(pooled):
    return Features(pooled[:, None], (1, 1))


@torch.no_grad()
def test_pairwise_finds_the_exact_conditionals_of_an_ising_model():
    coupling, bias, truth = world(6000, strength=1.0)
    model = model_of("pairwise", 4, "--model.image_l2", "0.1", "--model.label_l2", "0.00003")
    pooled = torch.zeros(len(truth), model.backbone.channels)  # pictures that look alike
    model.fit_features(FeatureTable(pooled[None], truth))
    rows = torch.tensor(list(itertools.product((1, 2), repeat=4)))
    for label in range(4):
        states = rows.clone()
        states[:, label] = 0
        found = model.predict_labels(features_of(pooled[:16]), states)[:, label]
        others = (rows - 1).float()
        others[:, label] = 0
        assert torch.allclose(found, bias[label] + others @ coupling[label], atol=0.3)


@torch.no_grad()
@pytest.mark.parametrize("name", KNOWN)
def test_known_labels_help_exactly_where_labels_are_dependent(name):
    _, _, truth = world()
    generator = torch.Generator().manual_seed(2)
    pooled = torch.randn(len(truth), 512, generator=generator)[:, : model_of(name, 4).backbone.channels]
    shuffled = torch.stack([column[torch.randperm(len(truth), generator=generator)] for column in truth.T], dim=1)
    gains = []
    for labels in (truth, shuffled):
        model = model_of(name, 4, *L2)
        model.fit_features(FeatureTable(pooled[None], labels))
        hidden = labels.clone()
        hidden[:, 0] = 0
        target = (labels[:, 0] == 2).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        nothing = model.predict_labels(features_of(pooled), torch.zeros_like(labels))[:, 0]
        gains.append(float(loss(nothing, target) - loss(model.predict_labels(features_of(pooled), hidden)[:, 0], target)))
    assert gains[0] > 0.02 and abs(gains[1]) < 0.01


@torch.no_grad()
def test_sum_is_the_linear_layer_where_nothing_is_known():
    _, _, truth = world(400)
    model = model_of("sum", 4, *L2)
    pooled = torch.randn(400, model.backbone.channels, generator=torch.Generator().manual_seed(1))
    model.fit_features(FeatureTable(pooled[None], truth))
    images = fit_images(FeatureTable(pooled[None], truth), l2=0.1)
    found = model.predict_labels(features_of(pooled), torch.zeros_like(truth))
    assert torch.allclose(found, pooled @ images.weight.T + images.bias, atol=1e-4)


def test_held_out_logits_do_not_depend_on_the_pictures_own_labels_and_are_of_all_views():
    generator = torch.Generator().manual_seed(1)
    views = torch.randn(2, 60, 5, generator=generator)
    truth = 1 + (views.mean(dim=0)[:, :3] + 0.5 * torch.randn(60, 3, generator=generator) > 0).long()
    fold = folds_of(torch.arange(60), 0, 5) == 2
    changed = truth.clone()
    changed[fold] = 3 - changed[fold]
    apart = torch.arange(60)
    first, second = (fit_images(FeatureTable(views, labels, groups=apart), l2=0.1) for labels in (truth, changed))
    found = [(each.held_out - each.shift) / each.scale for each in (first, second)]
    assert torch.allclose(found[0][:, fold], found[1][:, fold], atol=1e-5)
    assert not torch.allclose(found[0][:, ~fold], found[1][:, ~fold], atol=1e-2)
    assert not torch.equal(first.weight, second.weight) and first.held_out.shape == (2, 60, 3)
    swapped = fit_images(FeatureTable(views.flip(0), truth, groups=apart), l2=0.1)
    again = (swapped.held_out.flip(0) - swapped.shift) / swapped.scale
    assert torch.allclose(again, found[0], atol=1e-3)


def test_logits_keep_their_order_where_held_out_ones_are_worse_than_none():
    """With a handful of pictures that happens by chance; with a scale of 0 all pictures would have the same logits."""
    generator = torch.Generator().manual_seed(4)
    positive = torch.rand(40, 3, generator=generator) < 0.3
    logits = torch.randn(40, 3, generator=generator) - 4 * positive  # held out, and wrong
    every = torch.ones_like(positive)
    scale, shift = rescaling(logits, positive, every)
    assert scale == pytest.approx(0.5)
    losses = [log_loss(scale * logits + shift + change, positive, every) for change in (-0.05, 0, 0.05)]
    assert losses[1] == min(losses)  # the shift is the best for that scale
    right, shift = rescaling(-logits, positive, every)
    assert right > 0.5 and log_loss(-right * logits + shift, positive, every) < losses[1]


def test_folds_cover_all_pictures_evenly_and_follow_the_seed():
    first, again, other = (folds_of(torch.arange(53), seed, 5) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.bincount().tolist() == [11, 11, 11, 10, 10] and folds_of(torch.arange(2), 0, 5).tolist() in ([0, 1], [1, 0])


def test_the_search_of_penalties_stops_at_the_first_rise_and_returns_the_least():
    losses, tried = {5: 3.0, 4: 1.0, 3: 2.0, 2: 2.5, 1: 0.0}, []

    def loss_of(penalty):
        tried.append(penalty)
        return losses[penalty]

    assert descend((5, 4, 3, 2, 1), loss_of) == 4 and tried == [5, 4, 3]


@pytest.mark.parametrize(
    ("l2", "share", "chosen", "tried"),
    [
        (None, None, LabelFit(3e-3, 0.25), 9),
        (None, 0.5, LabelFit(1e-3, 0.5), 4),
        (1e-4, None, LabelFit(1e-4, 0.5), 3),
        (1e-4, 0.5, LabelFit(1e-4, 0.5), 0),
    ],
)
def test_penalty_and_share_are_chosen_together_and_what_is_given_stays(l2, share, chosen, tried):
    seen = []

    def loss_of(how):
        seen.append(how)
        best = {0.0: 1e-2, 0.25: 3e-3, 0.5: 1e-3}[how.image_free]
        return abs(math.log(how.l2 / best)) + abs(how.image_free - 0.25)

    assert choose(loss_of, l2, share) == chosen and len(seen) == tried


@torch.no_grad()
@torch.no_grad()
@pytest.mark.parametrize("name", [*KNOWN, "linear"])
def test_penalties_are_compared_on_some_of_many_labels_and_all_labels_are_fitted(name, monkeypatch):
    _, _, truth = world(300)
    pooled = torch.randn(300, model_of("sum", 4).backbone.channels, generator=torch.Generator().manual_seed(3))
    table, fits = FeatureTable(pooled[None], truth), []
    monkeypatch.setattr(_image_fit, "COMPARED", 2)
    flags = [] if name != "linear" else ["--model.solver", "lbfgs"]
    shuffled = truth.clone()  # the labels that are not compared do not change the choice
    for label in sorted({0, 1, 2, 3} - set(_image_fit.compared_labels(4, 0).tolist())):
        shuffled[:, label] = truth[torch.randperm(300, generator=torch.Generator().manual_seed(label)), label]
    for each in (table, replace(table, truth=shuffled)):
        model = model_of(name, 4, *flags)
        fits.append((model.fit_features(each), model))
    image_l2 = float(fits[0][0].split("image weights ")[1].split(",")[0])
    assert fits[1][0].startswith(f"penalty of image weights {image_l2:g}")
    if name == "linear":
        return
    label_l2 = float(fits[0][0].split("known labels ")[1].split(",")[0])
    given = model_of(name, 4, "--model.image_l2", str(image_l2), "--model.label_l2", str(label_l2))
    given.fit_features(table)
    assert torch.allclose(fits[0][1].point, given.point, atol=0.1) and fits[0][1].point.abs().amax(dim=0).min() > 0.1


def test_a_share_of_the_fit_without_the_image_lies_between_pairwise_and_sum():
    _, _, truth = world(300)
    generator = torch.Generator().manual_seed(3)
    pooled = (truth.float() @ torch.randn(4, 512, generator=generator))[:, : model_of("sum", 4).backbone.channels]
    pooled += 3 * torch.randn(pooled.shape, generator=generator)
    states = truth.clone()
    states[:, 0] = 0
    found = {}
    for name, flags in {"sum": [], "pairwise": [], **{share: ["--model.image_free", share] for share in ("0.25", "1")}}.items():
        model = model_of("sum" if name == "sum" else "pairwise", 4, *L2, *flags)
        model.fit_features(FeatureTable(pooled[None], truth))
        found[name] = model.predict_labels(features_of(pooled), states)
    assert torch.allclose(found["1"], found["sum"], atol=1e-4)
    assert torch.allclose(found["0.25"], 0.75 * found["pairwise"] + 0.25 * found["sum"], atol=1e-4)
    assert (found["pairwise"] - found["sum"]).abs().max() > 0.1


@torch.no_grad()
def test_no_part_of_an_outer_fit_has_seen_the_pictures_by_which_the_choice_is_made():
    generator = torch.Generator().manual_seed(5)
    views = torch.randn(1, 60, 512, generator=generator)
    truth = torch.randint(1, 3, (60, 3), generator=generator)
    model = model_of("pairwise", 3)
    table = FeatureTable(views[..., : model.backbone.channels], truth, groups=torch.arange(60))
    held = outer_folds(table) == 0
    changed = truth.clone()
    changed[held] = 3 - changed[held]
    first, second = (outer_fits(model, replace(table, truth=labels), None, 0.1)[0] for labels in (truth, changed))
    how = LabelFit(1e-3, 0.5)
    assert torch.equal(first.held, held) and torch.equal(first.images.weight, second.images.weight)
    assert torch.equal(first.rows.fit(how), second.rows.fit(how)) and first.loss(how) != second.loss(how)
    assert len(first.held_rows.positive) % int(held.sum()) == 0


@torch.no_grad()
@pytest.mark.parametrize("name", [*KNOWN, "residual"])
@pytest.mark.parametrize("pictures", [1, 2, 3, 7])
def test_few_pictures_are_fitted_with_every_choice_open(name, pictures):
    model = model_of(name, 3, *(["--model.image_free", "null"] if name in ("pairwise", "residual") else []))
    pooled = torch.randn(1, pictures, model.backbone.channels, generator=torch.Generator().manual_seed(0))
    truth = torch.randint(1, 3, (pictures, 3), generator=torch.Generator().manual_seed(1))
    if name == "residual" and pictures == 1:
        with pytest.raises(UserError, match="at least two training pictures"):
            model.fit_features(FeatureTable(pooled, truth))
        return
    assert "of known labels" in model.fit_features(FeatureTable(pooled, truth))
    assert model.predict_labels(features_of(pooled[0]), truth).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", [*KNOWN, "knn", "linear"])
def test_entries_that_are_not_annotated_have_no_effect_and_a_seed_gives_the_same_model(name):
    flags = L2 if name in KNOWN else ["--model.solver", "lbfgs"] if name == "linear" else []
    _, _, truth = world(80)
    generator = torch.Generator().manual_seed(3)
    pooled = torch.randn(1, 80, 512, generator=generator)
    truth = truth.masked_fill(torch.rand(truth.shape, generator=generator) < 0.4, 0)
    truth[:, 3] = 0  # a label without any annotation
    found = []
    for seed in (0, 0, 1):
        model = model_of(name, 4, *flags)
        table = FeatureTable(pooled[..., : model.backbone.channels], truth, seed)
        assert model.fit_features(table)
        found.append(model.predict_labels(features_of(table.views[0, :9]), torch.zeros(9, 4, dtype=torch.long)))
    assert torch.equal(found[0], found[1]) and found[0].isfinite().all()
    assert torch.allclose(found[0][:, 3], torch.zeros(9), atol=1e-5)  # nothing is known of it: one half
    assert torch.equal(found[0], found[2]) == (name == "knn")  # of the others it makes the folds


@torch.no_grad()
def test_neighbours_are_the_nearest_and_their_annotations_are_counted():
    model = model_of("knn", 2, "--model.neighbours", "3", "--model.examples", "8")
    pooled = torch.zeros(6, model.backbone.channels)
    pooled[:, 0], pooled[:, 1] = 1, torch.arange(6) * 0.1
    truth = torch.tensor([[2, 1], [2, 0], [1, 2], [1, 1], [1, 1], [1, 1]])
    model.fit_features(FeatureTable(pooled[None], truth))
    first = torch.tensor([3.5 / 7, 1.5 / 6])  # prevalences, with half an entry of each kind
    first[0] = 2.5 / 7
    logits = model.predict_labels(features_of(pooled[:1] * 7), torch.zeros(1, 2, dtype=torch.long))
    expected = torch.tensor([(2 + 2 * first[0]) / 5, (1 + 2 * first[1]) / 4])
    assert torch.allclose(logits[0].sigmoid(), expected, atol=1e-5)


def test_it_trains_saves_loads_and_resumes_like_any_method(folder, tmp_path, capsys):
    recipe = recipe_of("pairwise", folder, *STEP)
    report = fit(recipe, tmp_path / "run")
    out = capsys.readouterr()
    assert "penalty of image weights" in out.err and report.score > 60
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    finished = json.loads((tmp_path / "run" / "finished.json").read_text())
    assert [row["epoch"] for row in history] == [0] and (finished["epochs"], finished["planned_epochs"]) == (0, 0)
    tagger = ctran.load(tmp_path / "run")
    before = tagger.predict(folder / "00.png").probabilities
    assert tagger.session(folder / "00.png").tell({"red": False}).predict().probabilities != before
    (tmp_path / "run" / "finished.json").unlink()
    fit(recipe, tmp_path / "run", resume=True)
    assert ctran.load(tmp_path / "run").predict(folder / "00.png").probabilities == before


@pytest.mark.parametrize(
    ("method", "flags", "message"),
    [
        ("pairwise", ["--training.epochs", "3"], "training.epochs: method 'pairwise' is fitted in one step, without epochs"),
        ("knn", ["--training.feature_views", "0"], "training.feature_views: method 'knn' is fitted to stored image features"),
        ("linear", [], "training.epochs: method 'linear' is trained in epochs: set it to 1 or more"),
        ("linear", ["--model.solver", "lbfgs", "--training.epochs", "2"], "training.epochs: method 'linear' is fitted in one"),
    ],
)
def test_epochs_and_stored_features_must_suit_the_method(folder, method, flags, message):
    with pytest.raises(UserError, match=message):
        prepare(recipe_of(method, folder, *STEP, *flags))


def test_options_of_the_other_solver_are_refused(capsys):
    assert main(["train", "--method", "linear", "--model.solver", "lbfgs", "--model.dropout", "0.1"]) != 0
    assert "model.dropout has no effect: it belongs to model.solver sgd, and this is lbfgs" in capsys.readouterr().err


@torch.no_grad()
@pytest.mark.parametrize("name", ["pairwise", "stack"])
def test_a_parent_is_not_told_by_a_child_that_it_made_known(name):
    """A label that follows from another is scored only where it is unknown: else its own state would reach its logit."""
    generator = torch.Generator().manual_seed(7)
    child = torch.rand(600, generator=generator) < 0.2
    parent = child | (torch.rand(600, generator=generator) < 0.3)
    truth = torch.stack([child, parent], dim=1).long() + 1
    model = model_of(name, LabelSpace(("poodle", "dog"), implications=(("poodle", "dog"),)), *L2)
    model.fit_features(FeatureTable(torch.zeros(1, 600, model.backbone.channels), truth))
    features = features_of(torch.zeros(1, model.backbone.channels))
    absent = model.predict_labels(features, torch.tensor([[1, 0]]))[0, 1].sigmoid()
    exact = float(parent[~child].float().mean())
    assert float(absent) == pytest.approx(exact, abs=0.05)
    child_if_parent = model.predict_labels(features, torch.tensor([[0, 2]]))[0, 0].sigmoid()
    assert float(child_if_parent) == pytest.approx(float(child[parent].float().mean()), abs=0.05)


def test_a_fitted_run_refuses_more_epochs_and_stays_as_it_was(folder, tmp_path, capsys):
    run = tmp_path / "run"
    fit(recipe_of("knn", folder, *STEP, "--training.feature_views", "1", "--training.augmentation", "none"), run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert main(["train", "--resume", str(run), "--training.epochs", "5"]) == 1
    assert "was fitted in one step, without epochs; there are none to add" in capsys.readouterr().err
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert after == before


@torch.no_grad()
def test_votes_do_not_depend_on_how_many_pictures_are_decided_at_a_time(monkeypatch):
    model = model_of("knn", 3)
    generator = torch.Generator().manual_seed(0)
    pooled = torch.randn(30, model.backbone.channels, generator=generator)
    model.fit_features(FeatureTable(pooled[None], torch.randint(0, 3, (30, 3), generator=generator)))
    states = torch.zeros(30, 3, dtype=torch.long)
    whole = model.predict_labels(features_of(pooled), states)
    monkeypatch.setattr(knn, "ROWS", 7)
    assert torch.allclose(model.predict_labels(features_of(pooled), states), whole)
