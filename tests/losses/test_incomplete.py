"""Losses of unknown labels that keep what they find out, and what is imputed."""

import pytest
import torch

from ctran.data.loading import Batch
from ctran.labels import LabelState
from ctran.losses import assume_negative, entropy, impute, large_loss
from ctran.losses._base import LabelLoss
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.task import LabelTask
from tests.methods.test_statistics import FLAGS

U, N, P = int(LabelState.UNKNOWN), int(LabelState.NEGATIVE), int(LabelState.POSITIVE)
TRUTH = torch.tensor([[U, P, U], [U, U, N]])
ROWS = torch.tensor([7, 2])


def kept(loss, config, make):
    """A fresh loss with what a checkpoint of another holds."""
    fresh = LabelLoss(make(config))
    fresh.load_state_dict(LabelLoss(loss).state_dict())
    return fresh.entries


def test_a_large_loss_that_is_corrected_for_good_stays_so_also_after_a_checkpoint():
    config = large_loss.Config(scheme="correct_permanently", rise=0.25)  # one of four unknown entries an epoch
    loss = large_loss.build(config)
    first = torch.tensor([[3.0, 0.0, -1.0], [0.0, -2.0, 0.0]])
    loss(first, TRUTH, epoch=0, index=ROWS)
    assert (loss.since.values == large_loss.NEVER).all()
    loss(first, TRUTH, epoch=1, index=ROWS)  # finds the logit 3
    later = torch.tensor([[-5.0, 0.0, -1.0], [0.0, 2.0, 0.0]])
    for each in (loss, kept(loss, config, large_loss.build)):
        found = each(later[[1, 0]], TRUTH[[1, 0]], epoch=2, index=ROWS[[1, 0]])
        assert found[1, 0] > 5 and found[0, 1] < 0.2  # both count as present: the one of before, and the largest of now
        assert found[1, 2] < 0.4 and found[0, 0] == pytest.approx(0.6931, abs=1e-4)


def test_rejected_losses_count_as_nothing_and_none_is_rejected_in_the_first_epoch():
    loss = large_loss.build(large_loss.Config(rise=0.25))
    logits = torch.tensor([[3.0, 0.0, -1.0], [0.0, -2.0, 5.0]], requires_grad=True)
    assert (loss(logits, TRUTH, epoch=0, index=ROWS) > 0).all()
    found = loss(logits, TRUTH, epoch=2, index=ROWS)  # two of four unknown entries
    assert (found == 0).tolist() == [[True, False, False], [True, False, False]]


def test_pseudo_labels_are_the_least_probable_of_each_label_by_the_epoch_before_and_stay():
    config = entropy.Config(share=0.5, start=1, rounds=1, alpha=1, beta=1)
    loss, rows, truth = entropy.build(config), torch.arange(4), torch.zeros(4, 1, dtype=torch.long)
    before, now = torch.tensor([[-3.0], [2.0], [-1.0], [1.0]]), torch.zeros(4, 1)
    for part in (rows[:2], rows[2:]):  # in batches
        loss(before[part], truth[part], epoch=0, index=part)
    loss(now, truth, epoch=1, index=rows)
    target = before.sigmoid()
    assert torch.allclose(loss.target.values[[0, 2]], target[[0, 2]]) and (loss.target.values[[1, 3]] < 0).all()
    for each in (loss, kept(loss, config, entropy.build)):
        found = each(before.neg(), truth, epoch=2, index=rows)
        nats = torch.nn.functional.binary_cross_entropy_with_logits(before.neg(), target, reduction="none")
        assert torch.allclose(found[[0, 2]], nats[[0, 2]]) and (found[[1, 3]] < 0.7).all()


def test_certain_predictions_of_unknown_labels_cost_and_uncertain_ones_do_not():
    loss = entropy.build(entropy.Config(alpha=1, share=0))
    found = loss(torch.tensor([[0.0, 4.0, -4.0]]), torch.zeros(1, 3, dtype=torch.long), epoch=9, index=torch.tensor([0]))[0]
    assert found[0].abs() < 1e-6 and found[1] > 0.5 and torch.allclose(found[1], found[2])


def test_the_targets_of_imputation_have_the_true_probability_as_their_fixed_point():
    """With the true probabilities as predictions, the mean target over listed and unlisted labels is that probability."""
    for share in (0.0, 0.3, 0.8, 1.0):
        true = torch.linspace(0.05, 0.95, 10, dtype=torch.double)[None].requires_grad_()
        loss, rows = impute.build(impute.Config(listed=share)), torch.tensor([0])
        loss.impute(rows, true.detach())
        logits = true.detach().logit().requires_grad_()
        listed, unlisted = (loss(logits, torch.full((1, 10), state), index=rows) for state in (P, U))
        named = share * true.detach()  # probability of being listed
        (gradient,) = torch.autograd.grad((named * listed + (1 - named) * unlisted).sum(), logits)
        assert gradient.abs().max() < 1e-12


def test_imputation_takes_the_probabilities_of_its_own_pictures():
    loss = impute.build(impute.Config(listed=0))
    given, logits = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.3, 0.4]]), torch.zeros(2, 3)
    loss.impute(ROWS, given)
    swapped = loss(logits, TRUTH[[1, 0]], index=ROWS[[1, 0]])[[1, 0]]
    assert torch.equal(loss(logits, TRUTH, index=ROWS), swapped)
    pulled = torch.zeros(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(pulled, TRUTH, index=ROWS).sum(), pulled)
    assert torch.allclose(gradient[TRUTH == U], (0.5 - given)[TRUTH == U])


def test_where_lists_name_everything_imputation_assumes_absence(generator):
    logits = torch.randn(2, 3, generator=generator)
    complete = assume_negative.build(assume_negative.Config())
    assert torch.allclose(impute.build(impute.Config(listed=1))(logits, TRUTH), complete(logits, TRUTH))


def test_training_imputes_by_the_averaged_weights_from_all_known_labels(folder, monkeypatch):
    source = ["--source", "imagefolder", "--root", str(folder), "--absent", "unlisted"]
    recipe = read_recipe(None, [*FLAGS, *source, "--training.loss", "impute", "--training.ema", "0.9", "--seed", "3"])
    parts = prepare(recipe)
    task = LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids)
    monkeypatch.setattr(task, "log", lambda *args, **kwargs: None)
    monkeypatch.setattr(LabelTask, "current_epoch", 0)
    task.generator = torch.Generator().manual_seed(0)
    batch: Batch = next(iter(parts.train))
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.mul_(0.5)  # so that the average differs from the model
    task.eval().training_step(batch, 0).backward()
    rows, given = task.criterion.entries.given
    assert torch.equal(rows, batch.index) and not given.requires_grad
    features = task.model.encode_images(batch.images)
    assert torch.allclose(given, task.evaluated.predict_labels(features, batch.truth).sigmoid(), atol=1e-6)
    assert not torch.allclose(given, task.model.predict_labels(features, batch.truth).sigmoid(), atol=1e-3)
