"""Training on several processes gives what one process gives on their pictures as one batch."""

import dataclasses
import json
import random

import pytest
from lightning import Trainer
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from ctran.training.fit import fit
from ctran.training.group import Group
from ctran.training.pipeline import build_tables, prepare
from ctran.training.processes import Place
from ctran.training.recipe import read_recipe
from ctran.training.sizes import SizesError, check_enough
from ctran.training.task import LabelTask
from ctran.training.trainer import quiet
from tests.conftest import COLOURS, TOY, draw
from tests.training.forked import in_processes


def change(recipe, **options):
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **options))


@pytest.fixture
def gaps(tmp_path):
    """18 training pictures, 5 of val (an odd number), 7 of test; of some pictures not all labels are known."""
    root = tmp_path / "pictures"
    root.mkdir()
    chance = random.Random(0)
    lines = ["file_name,labels,negatives,split"]
    for number in range(30):
        colours = [c for c in COLOURS if chance.random() < 0.5]
        draw(root / f"{number:02}.png", colours, note=str(number))
        absent = [c for c in COLOURS if c not in colours and chance.random() < 0.6]
        split = "train" if number < 18 else "val" if number < 23 else "test"
        lines.append(f'{number:02}.png,"{",".join(colours)}","{",".join(absent)}",{split}')
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def train(recipe, run):
    """In two processes, as torchrun starts them."""
    two = change(recipe, devices=2, strategy="ddp")
    statuses, printed = in_processes(2, run.parent, lambda rank: fit(two, run))
    assert statuses == [0, 0], printed


def flat(value, key=""):
    """Numbers and names of JSON, by path."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, part in pairs for k, v in flat(part, f"{key}/{name}").items()}
    return {key: value}


def weights_of(run):
    """Of the saved model, without those whose gradient is rounding alone."""
    found = load_file(run / "model" / "model.safetensors")
    found["encoder.layers.0.qkv.bias"].view(3, -1)[1] = 0  # of the keys: it adds the same to all scores of a query
    return found


TOLERANCE = 1e-4
"""Of weights and losses: sums over pictures are in another order, and Adam's steps are 0.01 long."""


def test_a_val_picture_that_two_processes_were_given_counts_once(gaps):
    """What two processes give on five pictures, of which one is given twice so that both have three."""
    quiet()
    recipe = read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(gaps), "--absent", "unknown"])
    tables = build_tables(recipe)
    parts = [prepare(recipe, tables, group=Group(Place(rank, 2))) for rank in (0, 1)]
    of_each = [list(part.val) for part in parts]
    given = [i for batches in of_each for batch in batches for i in batch.index.tolist()]
    assert len(given) == 6 and sorted(set(given)) == [0, 1, 2, 3, 4]
    task = LabelTask(parts[0].tagger.model.eval(), parts[0].labels, recipe, tables["val"].ids)
    found = []
    for batches in (of_each[0] + of_each[1], list(prepare(recipe, tables).val)):
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        Trainer(accelerator="cpu", **options).validate(task, DataLoader(batches, batch_size=None), verbose=False)
        assert task.report is not None and task.report.pictures == 5
        found.append(task.report.scores)
    assert found[0] == pytest.approx(found[1], abs=1e-4, nan_ok=True)


@pytest.mark.parametrize(
    ("options", "split"),
    [
        pytest.param({"reduction": "mean"}, {"batch_size": 4}, id="mean"),
        pytest.param({"reduction": "sum"}, {"batch_size": 4}, id="sum", marks=pytest.mark.slow),
        pytest.param({}, {"batch_size": 2, "accumulate_grad_batches": 2}, id="accumulated"),
    ],
)
def test_two_processes_train_as_one_with_twice_the_batch(gaps, tmp_path, options, split):
    """Nothing is drawn: no dropout, every label hidden. Weight decay, as Adam forgives a wrong factor."""
    flags = [*TOY, "--source", "imagefolder", "--root", str(gaps), "--absent", "unknown", "--model.dropout", "0"]
    fixed = {"backbone_learning_rate": 0.0, "augmentation": "none", "unknown_share": (1.0, 1.0)}
    one = change(read_recipe(None, flags), **{**fixed, "batch_size": 8, "weight_decay": 0.05, "ema": 0.5, **options})
    train(change(one, **split), tmp_path / "two")
    fit(one, tmp_path / "one")
    weights = [weights_of(tmp_path / run) for run in ("one", "two")]
    apart = {k: float((v.double() - weights[1][k].double()).abs().max()) for k, v in weights[0].items()}
    assert {k: v for k, v in apart.items() if v > TOLERANCE} == {}
    for name in ("history.json", "metrics.json"):
        found = [flat(json.loads((tmp_path / run / name).read_text())) for run in ("one", "two")]
        assert found[1] == pytest.approx(found[0], abs=TOLERANCE), name


@pytest.mark.slow
def test_the_stages_of_an_anchored_model_train_on_two_processes(gaps, tmp_path):
    flags = [*TOY, "--source", "imagefolder", "--root", str(gaps), "--absent", "unknown", "--method", "anchored"]
    flags += ["--model.separate_epochs", "2", "--model.anchor_folds", "3", "--model.anchor_learning_rate", "0"]
    flags += ["--model.separate_learning_rate", "0.01", "--training.epochs", "3"]
    recipe = change(
        read_recipe(None, flags),
        backbone_learning_rate=0.0,
        ema=0.9,
        hide_image=0.3,
    )
    train(recipe, tmp_path / "two")
    assert (tmp_path / "two" / "metrics.json").exists()
    assert len(json.loads((tmp_path / "two" / "history.json").read_text())) == 3
    fit(recipe, tmp_path / "one")
    shapes = [
        {k: v.shape for k, v in load_file(tmp_path / run / "model" / "model.safetensors").items()} for run in ("one", "two")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("pictures", "world", "refused"),
    [
        ((3, 3), 4, "training.devices is 4, and train has 3 pictures.* set training.devices to 3 or less"),
        ((8, 1), 2, "training.devices is 2, and val has 1 picture.* set training.devices to 1"),
        ((2, 2), 2, ""),
        ((1, 1), 1, ""),
    ],
)
def test_every_process_needs_a_picture_of_train_and_of_val(gaps, pictures, world, refused):
    recipe = read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(gaps), "--absent", "unknown"])
    tables = build_tables(recipe)
    some = tables | {split: tables[split].select(range(n)) for split, n in zip(("train", "val"), pictures, strict=True)}
    if refused:
        with pytest.raises(SizesError, match=refused):
            check_enough(recipe, some, world)
    else:
        check_enough(recipe, some, world)
