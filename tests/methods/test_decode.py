"""A method that chooses label sets by itself: beam search of a toy, against sets that are searched in full."""

import itertools
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

import ctran
from ctran import methods, registry
from ctran.analysis.calibrate import fit_calibration, predict_shares
from ctran.analysis.predict_table import predict_table
from ctran.constraints.decode import Decoder
from ctran.evaluation.evaluate import report
from ctran.labels import Group, LabelSpace
from ctran.training.evaluation import evaluate_run
from ctran.training.fit import fit
from ctran.training.pipeline import build_tables, build_tagger
from tests.conftest import draw, stirred
from tests.methods.test_statistics import recipe_of

pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def tables(folder):
    return build_tables(recipe_of("label_sets", folder))


@pytest.fixture
def tagger(folder, tables):
    return stirred(build_tagger(recipe_of("label_sets", folder), tables["train"].labels))


def value(model, logits, members):
    """The score of a set, from its definition."""
    u = model.couplings.detach()
    return sum(logits[i] for i in members) + sum(u[i] @ u[j] for i, j in itertools.combinations(members, 2))


@torch.no_grad()
def test_the_sets_of_the_toy_are_the_best_of_all(tagger, folder):
    features = tagger.session(folder / "00.png").features
    states = torch.tensor([[0, 0, 0, 0], [2, 1, 0, 0], [0, 0, 1, 2]])
    logits, chosen = tagger.model.predict_labels(features, states), tagger.model.decode(features, states)
    for row, present, given in zip(logits, chosen, states.tolist(), strict=True):
        sets = [s for size in range(5) for s in itertools.combinations(range(4), size)]
        allowed = [s for s in sets if all(i not in s if g == 1 else i in s for i, g in enumerate(given) if g)]
        best = max(allowed, key=lambda s: float(value(tagger.model, row, s)))
        assert present.nonzero()[:, 0].tolist() == list(best)


def test_a_given_threshold_comes_before_the_choice_of_the_method(tagger, folder):
    picture = folder / "00.png"
    own = tagger.predict(picture)
    assert tagger.predict(picture, threshold=0.0).labels == list(own.top(4))
    assert tagger.predict(picture, threshold=1.0).labels == []
    first = next(iter(own.probabilities))
    limit = 1.0 if first in own.labels else 0.0  # the contrary of the choice, of one label
    assert set(tagger.predict(picture, threshold={first: limit}).labels) == set(own.labels) ^ {first}


def test_what_a_method_chooses_contradicts_neither_known_labels_nor_groups_nor_implications():
    space = LabelSpace(("a", "b", "c", "d"), groups=(Group("one", ("a", "b"), exclusive=True),), implications=(("c", "d"),))
    p = torch.tensor([0.2, 0.3, 0.4, 0.1]).expand(16, -1)
    every = torch.tensor(list(itertools.product([False, True], repeat=4)))
    found = Decoder(space).labels(p, torch.zeros(16, 4, dtype=torch.long), chosen=every)
    assert (found[:, :2].sum(dim=1) == 1).all() and not (found[:, 2] & ~found[:, 3]).any()
    free = (every[:, :2].sum(dim=1) == 1) & (every[:, 3] | ~every[:, 2])  # sets that obey the rules stay as they are
    assert torch.equal(found[free], every[free])
    assert found[every[:, :2].all(dim=1), 1].all(), "of two chosen rivals the more probable one"
    known = Decoder(space).labels(p, torch.tensor([[2, 0, 1, 0]]).expand(16, -1), chosen=every)
    assert known[:, 0].all() and not known[:, 1:3].any() and torch.equal(known[:, 3], every[:, 3])


def test_figures_of_decisions_are_of_the_chosen_sets_and_the_ranking_of_the_logits(tagger, tables):
    truth, found = predict_shares(tagger, tables["test"], (0.0,), 0, "test")
    chosen, there = found[0].chosen.numpy(), (truth == 2).numpy()
    assert (chosen != (found[0].logits > 0).numpy()).any(), "else thresholds would give the same sets"
    made = report(truth, found, tagger.labels, presets=["ctran"], intervals=20)
    [row] = made.settings
    assert row.hidden.OF1 == pytest.approx(100 * f1_score(there, chosen, average="micro"))
    p = found[0].logits.numpy()
    ranked = [100 * average_precision_score(there[:, i], p[:, i]) for i in range(4) if 0 < there[:, i].sum() < len(there)]
    assert row.hidden.mAP == pytest.approx(np.mean(ranked))
    assert row.published["ctran"].OF1 == pytest.approx(row.hidden.OF1)
    assert row.intervals["OF1"][0] <= row.hidden.OF1 <= row.intervals["OF1"][1]
    assert "sets that the method chooses by itself" in made.markdown() and made.as_dict()["decision"]["threshold"] is None


def test_thresholds_are_not_fitted_for_a_method_that_does_not_use_them(tagger, tables):
    truth, found = predict_shares(tagger, tables["train"], (0.0,), 0, "train")
    calibration = fit_calibration(truth, found, tagger.labels).calibration
    assert not calibration.thresholds
    assert "no thresholds: the method chooses label sets by itself" in calibration.reasons


@pytest.mark.usefixtures("unrendered")
def test_validation_in_training_measures_the_chosen_sets_as_evaluate_does(tmp_path, monkeypatch):
    """Where all labels are of an exclusive group, the epoch is chosen by the accuracy of what is predicted."""
    root, colours = tmp_path / "squares", ("red", "green", "blue")
    root.mkdir()
    for number in range(30):
        draw(root / f"{number:02}.png", [colours[number % 3]], note=f"33 {number}")
    last = (30, 20, 15)  # of val: colours that are not equally frequent
    splits = ["train" if number < 12 else "val" if number < last[number % 3] else "test" for number in range(30)]
    rows = [f"{number:02}.png,{colours[number % 3]},{split}" for number, split in enumerate(splits)]
    (root / "metadata.csv").write_text("\n".join(["file_name,labels,split", *rows]))
    groups = ["--labels.groups", "{colour: {exclusive: true, labels: [red, green, blue]}}"]
    recipe = recipe_of("label_sets", root, *groups, "--training.epochs", "1", "--evaluation.known_share", "[0]")

    def contrary(self, features, states):
        return torch.nn.functional.one_hot(self.predict_labels(features, states).argmin(dim=1), 3).bool()

    monkeypatch.setattr(registry.find(methods, "label_sets").LabelSets, "decode", contrary)
    fit(recipe, tmp_path / "run")
    tagger, val = ctran.load(tmp_path / "run"), build_tables(recipe)["val"]
    found = evaluate_run(tagger, val, recipe.evaluation)
    (row,) = json.loads((tmp_path / "run" / "history.json").read_text())
    assert found.by_method and row["val_score"] == pytest.approx(found.score)
    truth, (output,) = predict_table(tagger, val, recipe.evaluation.settings())
    right = (truth == 2)[torch.arange(len(val)), output.present(Decoder(tagger.labels)).int().argmax(dim=1)]
    assert found.score == pytest.approx(100 * float(right.float().mean()))
    probable = (truth == 2)[torch.arange(len(val)), output.logits.argmax(dim=1)]
    assert probable.sum() != right.sum(), "else the most probable labels would give the same figure"
