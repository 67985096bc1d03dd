"""Concept bottleneck models against their formulas, and the identities between their variants."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ctran.labels import Group, LabelSpace
from ctran.losses._base import LabelLoss
from ctran.losses.assume_negative import AssumeNegative
from ctran.losses.bce import BCE
from ctran.methods import concept_bottleneck
from ctran.training.pipeline import build_tagger, inherit
from ctran.training.recipe import read_recipe
from tests.conftest import stirred_module
from tests.methods.training import CRITERION, loss_of, mean_ap, model_of, pictures, random_truth, step_of, table_of, train

CLASSES, CONCEPTS = ("crow", "gull", "wren"), ("black", "white", "big", "small", "tail")
SPACE = LabelSpace(
    (*CLASSES, *CONCEPTS),
    extra=CONCEPTS,
    groups=(Group("species", CLASSES, exclusive=True), Group("colour", ("black", "white")), Group("size", ("big", "small"))),
)
SOFTMAX = LabelLoss(BCE(), groups=SPACE.exclusive)
ATTRIBUTES = torch.tensor([[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [0, 1, 0, 1, 1]])
"""Concepts of each class."""


def birds(pictures, seed=0):
    """Truth: a class each, and its concepts."""
    species = torch.randint(0, 3, (pictures,), generator=torch.Generator().manual_seed(seed))
    return torch.cat([F.one_hot(species, 3), ATTRIBUTES[species]], dim=1) + 1


def bottleneck(variant, *flags, seed=0, space=SPACE):
    model = model_of("concept_bottleneck", space, "--model.variant", variant, *flags, seed=seed)
    return stirred_module(model) if variant not in ("multi_task", "no_bottleneck") else model


def features_of(model, count, seed=0):
    return pictures(count, model.backbone.channels, seed=seed)


@torch.no_grad()
@pytest.mark.parametrize("variant", ["joint", "sequential", "standard", "independent"])
def test_classes_follow_from_predicted_and_known_concepts_one_by_one(variant):
    model = bottleneck(variant)
    model.percentiles.copy_(torch.randn(8, 2))
    features = features_of(model, 4)
    states = torch.zeros(4, 8, dtype=torch.long)
    states[1, 3], states[2, 4:6], states[3, 3:] = 2, torch.tensor([1, 2]), torch.tensor([2, 1, 1, 2, 1])
    found = model.predict_labels(features, states)
    for row, tokens in enumerate(features.tokens):
        logits = model.image.weight @ tokens.mean(dim=0) + model.image.bias
        for species in range(3):
            total = model.task.bias[species].clone()
            for k in range(3, 8):
                state, given = int(states[row, k]), logits[k]
                if variant == "independent":
                    given = logits[k].sigmoid() if state == 0 else torch.tensor(float(state == 2))
                elif state:
                    given = model.percentiles[k, state - 1]
                total += model.task.weight[species, k] * given
            assert float(found[row, species]) == pytest.approx(float(total), abs=1e-4)
        assert torch.allclose(found[row, 3:], logits[3:], atol=1e-4)


def test_the_loss_of_joint_is_the_cross_entropy_and_weighted_losses_of_concepts():
    """Both terms of a concept's loss are multiplied by its negatives / positives; the sum is divided by 1 + lambda K."""
    truth, model = birds(12), bottleneck("joint", "--model.concept_weight", "0.5")
    model.fit_statistics(table_of(truth))
    features, species, concepts = features_of(model, 12), truth[:, :3].argmax(dim=1), truth[:, 3:] == 2
    logits = model.predict_labels(features, torch.zeros_like(truth)).detach()
    expected = F.cross_entropy(logits[:, :3], species)
    for k in range(5):
        ratio = float((~concepts[:, k]).sum() / concepts[:, k].sum())
        expected = expected + 0.5 * ratio * F.binary_cross_entropy_with_logits(logits[:, 3 + k], concepts[:, k].float())
    assert loss_of(model, step_of(features, truth), SOFTMAX) == pytest.approx(float(expected) / (1 + 0.5 * 5), rel=1e-4)
    plain = bottleneck("joint", "--model.concept_weight", "0.5", "--model.normalise", "false")
    plain.load_state_dict(model.state_dict())
    assert loss_of(plain, step_of(features, truth), SOFTMAX) == pytest.approx(float(expected), rel=1e-4)
    summed = LabelLoss(BCE(), groups=SPACE.exclusive, reduction="sum")
    assert loss_of(plain, step_of(features, truth), summed) == pytest.approx(12 * float(expected), rel=1e-4)


def test_concepts_alone_are_trained_by_the_mean_over_concepts():
    truth, model = birds(12), bottleneck("sequential", "--model.weighted", "false")
    features = features_of(model, 12)
    loss = loss_of(model, step_of(features, truth, stage="concepts"), SOFTMAX)
    logits = model.image_logits(features)[:, 3:].detach()
    expected = F.binary_cross_entropy_with_logits(logits, (truth[:, 3:] == 2).float())
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_loss_that_uses_unknown_labels_does_not_count_concepts_as_classes():
    truth, model = birds(12), bottleneck("multi_task", "--model.concept_weight", "0")
    step = step_of(features_of(model, 12), truth)
    assert loss_of(model, step, LabelLoss(AssumeNegative())) == pytest.approx(loss_of(model, step, LabelLoss(BCE())), rel=1e-6)


@pytest.mark.parametrize(("variant", "same"), [("joint", "standard"), ("multi_task", "no_bottleneck")])
def test_without_weight_of_concepts_their_loss_is_gone(variant, same):
    truth = birds(12)
    first, second = bottleneck(variant, "--model.concept_weight", "0"), bottleneck(same)
    features = features_of(first, 12)
    for model in (first, second):
        sum(model.loss(step_of(features, truth), SOFTMAX).values()).backward()
    gradients = [{name: p.grad for name, p in model.named_parameters() if p.grad is not None} for model in (first, second)]
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) >= 2
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[0])


def test_classes_of_independent_learn_from_true_concepts_and_those_of_sequential_from_predicted_ones():
    truth = birds(12)
    for variant, depends in (("independent", False), ("sequential", True)):
        model = bottleneck(variant)
        first, second = (loss_of(model, step_of(features_of(model, 12, seed), truth, stage="task"), SOFTMAX) for seed in (0, 1))
        assert (first != second) == depends
        model.loss(step_of(features_of(model, 12), truth, stage="task"), SOFTMAX)["labels"].backward()
        assert model.image.weight.grad is None and model.task.weight.grad.abs().sum() > 0


def test_the_second_stage_trains_the_second_layer_alone():
    config = concept_bottleneck.Config(variant="sequential", concept_share=0.75, task_learning_rate=0.5)
    concepts, task = config.stages(8)
    assert (concepts.epochs, task.epochs) == (6, 2) and concepts.learning_rates == {"task": 0}
    assert task.learning_rates == {"backbone": 0, "image": 0, "task": 0.5}
    assert [stage.epochs for stage in concept_bottleneck.Config().stages(8)] == [8]


def test_percentiles_are_those_of_the_predicted_logits_in_training_and_rest_in_evaluation():
    model, truth = bottleneck("joint"), birds(40)
    seen = []
    for seed in range(3):
        features = features_of(model, 40, seed)
        model.train().loss(step_of(features, truth), SOFTMAX)
        seen.append(np.percentile(model.image_logits(features).detach().numpy(), (5, 95), axis=0).T)
    assert torch.allclose(model.percentiles, torch.from_numpy(np.mean(seen, axis=0)).float(), atol=1e-4)
    before = model.percentiles.clone()
    with torch.no_grad():
        model.eval().predict_labels(features_of(model, 40, 9), truth)
    assert torch.equal(model.percentiles, before)


@pytest.mark.parametrize("variant", ["joint", "sequential", "independent"])
def test_groups_of_known_concepts_correct_the_class(variant):
    """The pictures do not tell the class; the concepts do, once they are known."""
    truth, model = birds(120), bottleneck(variant)
    features = features_of(model, 120)
    for stage, steps in (("concepts", 60), ("task", 200)) if variant != "joint" else (("", 250),):
        parameters = list(model.task.parameters()) if stage == "task" else None
        train(model, features, truth, steps=steps, rate=0.05, stage=stage, parameters=parameters, criterion=SOFTMAX)
    fresh, unseen = birds(90, seed=5), features_of(model, 90, seed=5)
    accuracy = []
    for known in ([], [3, 4], [3, 4, 5, 6], [3, 4, 5, 6, 7]):
        states = torch.zeros_like(fresh)
        states[:, known] = fresh[:, known]
        with torch.no_grad():
            found = model.predict_labels(unseen, states)[:, :3].argmax(dim=1)
        accuracy.append(float((found == fresh[:, :3].argmax(dim=1)).float().mean()))
    assert accuracy[0] < 0.7 and accuracy == sorted(accuracy) and accuracy[-1] == 1


@pytest.mark.parametrize("variant", ["joint", "multi_task"])
def test_it_learns_32_pictures(variant):
    model = model_of("concept_bottleneck", 6, "--model.variant", variant)
    truth, features = random_truth(32, 6), features_of(model, 32)
    model.fit_statistics(table_of(truth))
    assert mean_ap(train(model, features, truth, steps=150, rate=0.02), features, truth) > 0.99


def test_without_extra_labels_each_label_is_a_concept_and_follows_from_all():
    model, truth = bottleneck("joint", space=LabelSpace(("a", "b", "c"))), random_truth(5, 3)
    assert model.concepts.all() and model.classes.all()
    terms = model.loss(step_of(features_of(model, 5), truth), CRITERION)
    assert all(term > 0 for term in terms.values())


def test_a_model_of_other_labels_keeps_the_weights_between_those_that_both_have():
    flags = ["--method", "concept_bottleneck", "--model.backbone", "test_resnet", "--model.weights", "none"]
    recipe = read_recipe(None, flags)
    old, new = (build_tagger(recipe, LabelSpace(names)) for names in (("a", "b", "c"), ("c", "new", "a", "other")))
    fresh = new.model.task.weight.clone()
    assert inherit(new, old) == ["new", "other"]
    expected, pairs = old.model.task.weight, {0: 2, 2: 0}
    for row in range(4):
        for column in range(4):
            kept = row in pairs and column in pairs
            value = expected[pairs[row], pairs[column]] if kept else fresh[row, column]
            assert new.model.task.weight[row, column] == value
