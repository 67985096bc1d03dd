"""Models of methods on made-up image features, trained for some steps; and the largest tensor that a call makes."""

from types import SimpleNamespace

import torch
from sklearn.metrics import average_precision_score
from torch.utils._python_dispatch import TorchDispatchMode

from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.methods._base import build
from ctran.model import Features, TrainingStep
from ctran.training.recipe import read_recipe
from tests.data.truths import sparse

CRITERION = LabelLoss(BCE())


def model_of(name, labels, *flags, backbone="test_resnet", seed=0):
    """A method on a tiny backbone, in evaluation; ``labels``: a label space, or their number."""
    space = labels if isinstance(labels, LabelSpace) else LabelSpace(tuple(f"l{i}" for i in range(labels)))
    recipe = read_recipe(None, ["--method", name, "--model.backbone", backbone, "--model.weights", "none", *flags])
    torch.manual_seed(seed)
    return build(name, recipe.model, space).eval()


def table_of(truth):
    """What a method reads of a training table: its truth, to which nothing is assumed."""
    found = sparse(truth.tolist())
    return SimpleNamespace(truth=found, assumed=found)


def pictures(count, channels, grid=(2, 2), seed=0):
    """Image features without structure."""
    tokens = torch.randn(count, grid[0] * grid[1], channels, generator=torch.Generator().manual_seed(seed))
    return Features(tokens, grid)


def random_truth(count, labels, seed=0, share=0.4):
    """Independent labels."""
    return (torch.rand(count, labels, generator=torch.Generator().manual_seed(seed)) < share).long() + 1


def step_of(features, truth, states=None, stage="", epoch=0):
    """Inputs of a loss, with nothing known unless it is given."""
    states = torch.zeros_like(truth) if states is None else states
    return TrainingStep(features, truth, states, torch.arange(len(truth)), stage=stage, epoch=epoch)


def loss_of(model, step, criterion=CRITERION):
    """The loss of a step, as a number."""
    return float(sum(model.loss(step, criterion).values()).detach())


def train(model, features, truth, *, steps, rate=0.01, states=None, stage="", parameters=None, criterion=CRITERION):
    """Steps of Adam on all pictures; returns the model in evaluation mode."""
    torch.manual_seed(0)
    model.train()
    chosen = [p for name, p in model.named_parameters() if not name.startswith("backbone.")]
    optimizer = torch.optim.Adam(chosen if parameters is None else parameters, lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(model.loss(step_of(features, truth, states, stage), criterion).values()).backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def mean_ap(model, features, truth):
    """Mean average precision with nothing known, 0 to 1, over labels that have both states."""
    logits, present = model.predict_labels(features, torch.zeros_like(truth)), (truth == 2).numpy()
    there = [i for i in range(truth.shape[1]) if 0 < present[:, i].sum() < len(present)]
    return sum(average_precision_score(present[:, i], logits[:, i].numpy()) for i in there) / len(there)


class LargestTensor(TorchDispatchMode):
    """Number of elements of the largest result of any operation, views included."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for each in found if isinstance(found, tuple | list) else [found]:
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return found
