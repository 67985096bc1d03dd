"""Two encoders on top of a pairwise model: what they learn, on which pictures, and how much they count."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ctran.data.feature_table import FeatureTable
from ctran.errors import UserError
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import label_mask_training
from ctran.methods import residual
from ctran.methods.residual import ENCODERS_STAGE, WEIGHTS_STAGE
from ctran.model import Features, TrainingStep
from tests.methods.test_fitted import L2
from tests.methods.training import model_of

OPTIONS = [
    "--model.token_dim",
    "16",
    "--model.num_layers",
    "1",
    "--model.num_heads",
    "2",
    "--model.token_dropout",
    "0",
    "--model.dropout",
    "0",
    *L2,
]
CRITERION = LabelLoss(BCE())


def parity(pictures, seed=0):
    """Three labels of which any two are independent, and all three together are not: positives are even in number."""
    first = torch.randint(0, 2, (pictures, 2), generator=torch.Generator().manual_seed(seed))
    return torch.cat([first, first.sum(dim=1, keepdim=True) % 2], dim=1) + 1


def noise(pictures, seed=1):
    """Three independent labels."""
    return torch.randint(1, 3, (pictures, 3), generator=torch.Generator().manual_seed(seed))


def pictures(count, channels, spread, seed=0):
    """One token for each of some pictures, which say nothing about labels; they look alike where ``spread`` is 0."""
    return spread * torch.randn(count, 1, channels, generator=torch.Generator().manual_seed(seed))


def trained(truth, steps, spread=0.0, seed=0):
    """A model trained on pictures with these labels."""
    torch.manual_seed(seed)
    model = model_of("residual", 3, *OPTIONS)
    tokens = pictures(len(truth), model.backbone.channels, spread)
    model.fit_features(FeatureTable(tokens.mean(dim=1)[None], truth, seed))
    model.train()
    generator = torch.Generator().manual_seed(seed)
    for stage, count, rate in ((ENCODERS_STAGE, steps, 0.01), (WEIGHTS_STAGE, 40, 0.05)):
        rates = {True: [model.shares, model.own], False: list(model.encoders.parameters())}
        optimizer = torch.optim.Adam(rates[stage == WEIGHTS_STAGE], lr=rate)
        for _ in range(count):
            rows = torch.randperm(len(truth), generator=generator)[:128]
            states = label_mask_training(truth[rows], unknown_share=(0.1, 1.0), all_unknown=0.1, generator=generator)
            step = TrainingStep(Features(tokens[rows], (1, 1)), truth[rows], states, rows, stage=stage, helper=model.held_out)
            optimizer.zero_grad()
            sum(model.loss(step, CRITERION).values()).backward()
            optimizer.step()
    return model.eval()


@torch.no_grad()
def losses_of(model, truth, spread=0.0, label=2):
    """Mean log-loss of a label when the others are known: of the model, and of each of its parts."""
    states = truth.clone()
    states[:, label] = 0
    features = Features(pictures(len(truth), model.backbone.channels, spread, seed=9), (1, 1))
    target = (truth[:, label] == 2).float()
    every = {"model": model.predict_labels(features, states)} | model.parts(features, states)
    return {name: float(F.binary_cross_entropy_with_logits(each[:, label], target)) for name, each in every.items()}


def test_three_labels_that_depend_on_each_other_only_together_are_learned_beyond_the_pairwise_model():
    found = losses_of(trained(parity(400), steps=150), parity(200, seed=5))
    assert found["pairwise"] > 0.65 and found["linear"] > 0.65  # nothing to be known: ln 2 is 0.693
    assert found["pairwise + encoders"] < 0.2 and found["model"] < 0.3


def test_encoders_that_only_memorise_get_little_weight():
    found = losses_of(trained(noise(60), steps=100, spread=1.0), noise(400, seed=6), spread=1.0)
    assert found["pairwise + encoders"] > found["pairwise"] + 0.1 and found["model"] < found["pairwise"] + 0.03


@torch.no_grad()
def test_before_training_the_logits_are_those_of_the_pairwise_model():
    truth = parity(80)
    model, other = model_of("residual", 3, *OPTIONS), model_of("pairwise", 3, *L2)
    pooled = torch.randn(80, model.backbone.channels, generator=torch.Generator().manual_seed(2))
    for each in (model, other):
        each.fit_features(FeatureTable(pooled[None], truth))
    features = Features(pooled[:, None], (1, 1))
    states = label_mask_training(truth, unknown_share=(0.0, 1.0), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model.predict_labels(features, states), other.predict_labels(features, states), atol=1e-5)
    assert torch.equal(model.parts(features, states)["pairwise"], model.predict_labels(features, states))


@pytest.mark.parametrize(("stage", "number", "fold"), [(ENCODERS_STAGE, 1, 0), (ENCODERS_STAGE, 0, 1), (WEIGHTS_STAGE, 0, 0)])
def test_an_encoder_is_trained_without_the_pictures_that_decide_on_its_weight(stage, number, fold):
    truth = parity(40)
    model = model_of("residual", 3, *OPTIONS)
    tokens = torch.randn(40, 2, model.backbone.channels, generator=torch.Generator().manual_seed(2))
    model.fit_features(FeatureTable(tokens.mean(dim=1)[None], truth))
    for encoder in model.encoders:
        torch.nn.init.normal_(encoder.classifier.weight)
    rows = (model.held_out.folds == fold).nonzero()[:, 0]
    states = torch.zeros_like(truth[rows])
    step = TrainingStep(Features(tokens[rows], (2, 1)), truth[rows], states, rows, stage=stage, helper=model.held_out)
    sum(model.loss(step, CRITERION).values()).backward()
    trained = [any(p.grad is not None and p.grad.any() for p in encoder.parameters()) for encoder in model.encoders]
    assert trained == [stage == ENCODERS_STAGE and at == number for at in range(2)]
    weighted = model.shares.grad is not None and bool(model.shares.grad.any())
    assert weighted == (stage == WEIGHTS_STAGE)
    with torch.no_grad():  # the weights are fitted to the changes of the encoder that was not trained on these pictures
        before = model.loss(step, CRITERION)["labels"]
        for at in range(2):
            weight = model.encoders[at].classifier.weight
            kept = weight.clone()
            weight.mul_(3)
            assert (model.loss(step, CRITERION)["labels"] != before) == (at == number)
            weight.copy_(kept)


@torch.no_grad()
def test_what_an_encoder_is_trained_on_has_not_seen_the_labels_by_which_it_is_weighed_nor_an_image_layer_its_picture():
    truth = parity(60)
    model = model_of("residual", 3, *OPTIONS)
    tokens = torch.randn(60, model.backbone.channels, generator=torch.Generator().manual_seed(2))
    tokens[:, :3] += 4.0 * truth
    states, every = torch.zeros_like(truth), torch.arange(60)

    def fitted(unseen):
        """Logits by the models of both encoders, and weights of the linear layers, when the labels of some pictures differ."""
        labels = truth.clone()
        labels[unseen] = truth[unseen].roll(1, dims=0)  # prevalences, by which inputs are centred, stay
        model.fit_features(FeatureTable(tokens[None], labels))
        logits = [model.held_out.logits(model, encoder, tokens, states, every) for encoder in range(2)]
        return logits, model.held_out.weights.clone()

    logits, weights = fitted(torch.zeros(60, dtype=torch.bool))
    numbers, folds = model.held_out.numbers, model.held_out.folds
    for encoder in range(2):
        other, _ = fitted(folds == encoder)
        assert torch.allclose(other[encoder], logits[encoder], atol=1e-5)
        assert not torch.allclose(other[1 - encoder], logits[1 - encoder], atol=1e-2)
        for number in numbers[encoder].unique():
            _, found = fitted(numbers[encoder] == number)
            one, other_one = (F.normalize(each[number].flatten(), dim=0) for each in (found, weights))  # all have one scale
            assert torch.allclose(one, other_one, atol=1e-5)


def test_weights_are_fitted_without_dropout():
    torch.manual_seed(0)
    model = model_of("residual", 3, *OPTIONS[:4], "--model.token_dropout", "0.5", "--model.dropout", "0.5", *L2)
    truth = parity(40)
    tokens = torch.randn(40, 2, model.backbone.channels, generator=torch.Generator().manual_seed(2))
    model.fit_features(FeatureTable(tokens.mean(dim=1)[None], truth))
    for encoder in model.encoders:
        torch.nn.init.normal_(encoder.classifier.weight)
    step = TrainingStep(Features(tokens, (2, 1)), truth, torch.zeros_like(truth), torch.arange(40), helper=model.held_out)
    for stage, random in ((ENCODERS_STAGE, True), (WEIGHTS_STAGE, False)):
        first, second = (model.train().loss(replace(step, stage=stage), CRITERION)["labels"] for _ in range(2))
        assert (first != second) == random


@torch.no_grad()
@pytest.mark.parametrize("pictures", [2, 3, 5])
def test_a_handful_of_pictures_is_fitted(pictures):
    model = model_of("residual", 3, "--model.token_dim", "16", "--model.num_heads", "2")
    tokens = torch.randn(pictures, 1, model.backbone.channels, generator=torch.Generator().manual_seed(2))
    truth = parity(pictures)
    assert model.fit_features(FeatureTable(tokens[:, 0][None], truth))
    assert model.predict_labels(Features(tokens, (1, 1)), torch.zeros_like(truth)).isfinite().all()
    step = TrainingStep(Features(tokens, (1, 1)), truth, torch.zeros_like(truth), torch.arange(pictures), helper=model.held_out)
    for stage in (ENCODERS_STAGE, WEIGHTS_STAGE):
        assert all(term.isfinite() for term in model.loss(replace(step, stage=stage), CRITERION).values())


def test_one_picture_is_refused():
    model = model_of("residual", 3, *L2)
    with pytest.raises(UserError, match=r"method 'residual' needs at least two training pictures, got 1; add pictures"):
        model.fit_features(FeatureTable(torch.zeros(1, 1, model.backbone.channels), parity(1)))


def test_stages_that_leave_no_epoch_for_the_encoders_are_refused():
    config = residual.Config(weight_epochs=5)
    assert [stage.epochs for stage in config.stages(8)] == [3, 5]
    with pytest.raises(UserError, match=r"weight_epochs must be less than training.epochs, got 5 of 5"):
        config.stages(5)


@torch.no_grad()
def test_many_rows_of_states_are_predicted_in_parts_and_attention_is_the_encoders():
    model = model_of("residual", 3, *OPTIONS)
    for encoder in model.encoders:
        torch.nn.init.normal_(encoder.classifier.weight)
    generator = torch.Generator().manual_seed(3)
    features = Features(torch.randn(2, 4, model.backbone.channels, generator=generator), (2, 2))
    states = torch.randint(0, 3, (2 * 40, 3), generator=generator)
    whole = model.predict_labels(features, states)
    for encoder in model.encoders:
        encoder.encoder.rows_at_once = lambda places, labels: 16
    assert torch.allclose(model.predict_labels(features, states), whole, atol=1e-5)
    maps = model.attention(features, states[:2])
    assert len(maps) == model.config.num_layers and maps[0].shape == (2, 2, 7, 7)
    assert torch.allclose(maps[-1].sum(dim=3), torch.ones(2, 2, 7), atol=1e-5)
    assert model.label_embeddings().shape == (3, 2 * 16)
