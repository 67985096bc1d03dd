"""The same recipe and seed give the same weights, with two threads at the demo's sizes too, where the order of sums matters."""

import dataclasses

import pytest
import torch

from ctran.evaluation.report import Report
from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import label_mask_training
from ctran.methods import ctran as ctran_method
from ctran.model import Features
from ctran.training import deterministic as module
from ctran.training import fit
from ctran.training.deterministic import deterministic, lacks_deterministic
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.task import LabelTask
from tests.conftest import TOY

LABELS, PLACES, CHANNELS = 96, 49, 1280
SPACE = LabelSpace(tuple(f"label {i}" for i in range(LABELS)))


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def demo(**changed):
    """The demo's model; of its network only the image tokens are used, which are handed in."""
    torch.manual_seed(0)
    return ctran_method.build(dataclasses.replace(read_recipe(find_recipe("demo")).model, **changed), SPACE).train()


def gradients(model, batch):
    tokens, truth, states = batch
    model.zero_grad()
    torch.manual_seed(1)  # dropout
    LabelLoss(BCE())(model.predict_labels(Features(tokens, (7, 7)), states), truth, states).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture
def batch(generator):
    tokens = torch.randn(32, PLACES, CHANNELS, generator=generator)
    truth = torch.randint(0, 3, (32, LABELS), generator=generator)
    return tokens, truth, label_mask_training(truth, generator=generator)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"attention": "latent"},
    ],
)
def test_gradients_do_not_depend_on_how_two_threads_share_the_work(two_threads, batch, changed):
    model = demo(**changed)
    first = gradients(model, batch)
    assert "labels.known_state" in first
    again = gradients(model, batch)
    assert [name for name in first if not torch.equal(first[name], again[name])] == []


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
    )


def test_settings_of_pytorch_are_restored_after_an_error_too(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = settings()
    with pytest.raises(KeyError), deterministic(True):
        assert settings() == (True, False, False, False)
        assert module.os.environ["CUBLAS_WORKSPACE_CONFIG"] in (":4096:8", ":16:8")  # what cuBLAS needs
        raise KeyError
    assert settings() == before
    with deterministic(False):
        assert settings() == before


def test_a_step_that_has_no_deterministic_algorithm_is_found_and_named(capsys):
    weight = torch.zeros(4, requires_grad=True)

    def overwrites():
        return weight.clone().put(torch.tensor([1, 1]), torch.ones(2)).sum()

    assert lacks_deterministic(overwrites)
    assert "put_ has no deterministic algorithm" in capsys.readouterr().err
    assert not lacks_deterministic(lambda: (weight * 2).sum())
    assert capsys.readouterr().err == ""


def test_other_errors_of_a_step_are_not_taken_for_that():
    with pytest.raises(RuntimeError, match="shape"):
        lacks_deterministic(lambda: torch.zeros(2, requires_grad=True).reshape(3))


def test_training_runs_with_deterministic_algorithms_unless_the_recipe_switches_them_off(folder, tmp_path, monkeypatch):
    recipe = read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(folder), "--absent", "negative"])
    seen = []
    monkeypatch.setattr(LabelTask, "on_train_batch_end", lambda *_: seen.append(settings()[:2]))
    monkeypatch.setattr(fit, "finish", lambda *_: Report(0, ()))
    for number, chosen in enumerate((True, False)):
        options = dataclasses.replace(recipe.training, epochs=1, deterministic=chosen)
        fit.fit(dataclasses.replace(recipe, training=options), tmp_path / str(number))
    assert set(seen) == {(True, False), (False, False)} and not torch.are_deterministic_algorithms_enabled()
