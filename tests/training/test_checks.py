"""What a training must not get wrong silently, each checked without a training."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ctran.labels import Group, LabelSpace, LabelState
from ctran.masking import label_mask_training
from ctran.training import fit as fit_module
from ctran.training.divergence import DivergedError, Losses, explain
from ctran.training.gathered import first_places
from ctran.training.options import Training
from ctran.training.pipeline import build_tagger
from ctran.training.processes import Place, ProcessesError, processes
from ctran.training.recipe import read_recipe
from ctran.training.sizes import SizesError, check_batches, check_unknown_share
from ctran.training.task import LabelTask
from tests.conftest import TOY


@pytest.fixture
def recipe(folder):
    return read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(folder), "--absent", "negative"])


def change(recipe, **options):
    import dataclasses

    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **options))


def task_of(recipe):
    labels = LabelSpace(("a", "b"))
    return LabelTask(build_tagger(recipe, labels).model, labels, recipe, [], ["x", "y", "z"])


def test_dropout_differs_from_epoch_to_epoch_and_is_the_same_again(recipe, monkeypatch):
    task, drawn = task_of(recipe), []
    for epoch in (0, 1, 2, 0):
        monkeypatch.setattr(LabelTask, "current_epoch", epoch)
        task.on_train_batch_start(None, 0)
        drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_pictures_that_were_given_twice_count_once(numbers):
    found = first_places(torch.tensor(numbers)).tolist()
    assert found == [numbers.index(n) for n in sorted(set(numbers))]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 3])
def test_a_loss_that_is_not_finite_is_named_with_step_and_pictures(bad, at):
    losses = Losses([f"{n}.png" for n in range(40)])
    for step in range(at):
        losses.add(torch.tensor(1.0), torch.tensor(1.0), torch.tensor([step]))
        assert losses.due(1) and losses.finite
    losses.add(torch.tensor(1.0), torch.tensor(bad), torch.arange(10))
    assert not losses.finite
    said = explain(losses.first_bad(3), {"rest": 0.5}, Training(precision="bf16-mixed"))
    assert f"became {bad} in epoch 3, step {at + 1} (pictures 0.png" in said and "7.png and 2 more)" in said
    assert "rest 0.5" in said and "clip_norm 1" in said and "32-true" in said


def test_several_processes_look_at_their_losses_in_the_same_steps():
    losses, looked = Losses([]), []
    for step in range(1, 121):
        losses.add(torch.tensor(1.0), torch.tensor(1.0), torch.tensor([0]))
        if losses.due(2):
            looked.append(step)
            assert losses.finite
    assert looked == [50, 100] and len(losses) == 120


def test_a_training_stops_in_the_step_whose_loss_is_not_finite(recipe, folder, tmp_path):
    with pytest.raises(DivergedError, match=r"became nan in epoch 1, step [123] \(pictures .*; learning rates: .*e\+30"):
        fit_module.fit(change(recipe, learning_rate=1e30), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists() and not (tmp_path / "run" / "last.ckpt").exists()


SLURM = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "train"}
SLURM |= {"SLURM_NTASKS_PER_NODE": "2"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
TORCHRUN |= {"GROUP_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "x", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("started", "devices", "expected"),
    [
        ({}, 1, Place(0, 1)),
        ({}, 2, Place(0, 2)),
        ({"LOCAL_RANK": "1"}, 2, Place(1, 2, 1)),
        ({"LOCAL_RANK": "2"}, 2, "LOCAL_RANK is 2, and training.devices is 2"),
        ({}, (2, 3), "nothing has started processes on other machines: .*torchrun --nnodes 3 --nproc-per-node 2, or srun"),
        (SLURM, 2, Place(1, 2, 1, "SLURM")),
        (SLURM | {"SLURM_PROCID": "0"}, 1, Place(0, 1)),
        (SLURM, 1, "SLURM started 2 processes, training.devices is 1: set training.devices 2"),
        (SLURM, 4, "SLURM started 2 processes, training.devices is 4"),
        (SLURM | {"SLURM_NNODES": "2"}, 2, "SLURM started training on 2 nodes, training.nodes is 1: set training.nodes 2"),
        (SLURM | {"SLURM_NNODES": "2", "SLURM_NTASKS": "4", "SLURM_PROCID": "3"}, (2, 2), Place(3, 4, 1, "SLURM")),
        (SLURM | {"SLURM_NNODES": "2", "SLURM_NTASKS": "4"}, (1, 2), "devices is 1 on each of 2 nodes: set training.devices 2"),
        (SLURM, (2, 2), "SLURM started training on 1 node, training.nodes is 2: set training.nodes 1, or use 2"),
        (TORCHRUN, 2, Place(1, 2, 1, "torchrun")),
        (TORCHRUN | {"GROUP_WORLD_SIZE": "2"}, 2, "torchrun started training on 2 nodes"),
        (TORCHRUN | {"GROUP_WORLD_SIZE": "2", "WORLD_SIZE": "4", "RANK": "3"}, (2, 2), Place(3, 4, 1, "torchrun")),
    ],
)
def test_rank_and_world_are_the_launchers(monkeypatch, started, devices, expected):
    """``devices`` of one node, or with the number of nodes."""
    asked = devices if isinstance(devices, tuple) else (devices,)
    for key in {*SLURM, *TORCHRUN, "SLURM_NNODES"}:
        monkeypatch.delenv(key, raising=False)
    for key, value in started.items():
        monkeypatch.setenv(key, value)
    if isinstance(expected, str):
        with pytest.raises(ProcessesError, match=expected):
            processes(*asked)
    else:
        assert processes(*asked) == expected


@pytest.mark.parametrize(("size", "pictures", "refused"), [(8, 17, True), (8, 16, False), (1, 5, True), (8, 18, False)])
def test_a_last_batch_of_one_is_refused_where_batch_norm_cannot_take_it(recipe, size, pictures, refused):
    import dataclasses

    small = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, image_size=32))
    small = change(small, batch_size=size)
    model = build_tagger(small, LabelSpace(("a",))).model
    if not refused:
        check_batches(small, model, pictures)
        return
    with pytest.raises(SizesError, match=r"last batch of an epoch has one picture.*set training.batch_size to \d+"):
        check_batches(small, model, pictures)
    check_batches(change(small, backbone_learning_rate=0.0), model, pictures)


@given(
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    count=st.integers(1, 12),
    extra=st.integers(0, 11),
    by=st.sampled_from(["labels", "groups"]),
    over=st.sampled_from(["all", "extra"]),
    all_unknown=st.sampled_from([0.0, 0.5]),
)
def test_a_share_that_hides_nothing_is_refused_and_every_other_hides_something(shares, count, extra, by, over, all_unknown):
    names = tuple("abcdefghijkl"[:count])
    groups = (Group("g", names[: count // 2]),) if count > 3 else ()
    labels = LabelSpace(names, groups=groups, extra=names[: min(extra, count - 1)])
    if shares[1] == all_unknown == 0 or (over == "extra" and by == "groups" and not labels.extra):
        return  # refused without the labels; nothing to mask by groups
    options = Training(unknown_share=tuple(shares), mask_by=by, mask_over=over, all_unknown=all_unknown)

    def hidden():
        states = label_mask_training(
            torch.full((2000, count), int(LabelState.POSITIVE)),
            unknown_share=options.unknown_share,
            all_unknown=all_unknown,
            units=labels.units if by == "groups" else None,
            maskable=~labels.targets if over == "extra" else None,
            generator=torch.Generator().manual_seed(0),
        )
        return bool((states[:, labels.targets] == LabelState.UNKNOWN).any())

    try:
        check_unknown_share(options, labels)
    except SizesError as error:
        assert "training.unknown_share [" in str(error) and "its second share must be at least " in str(error)
        if "admits no whole number" in str(error):
            with pytest.raises(ValueError, match="admits no whole number"):
                hidden()
        else:
            assert not hidden()
    else:
        assert hidden()


def test_a_training_that_would_hide_nothing_leaves_no_folder(recipe, tmp_path):
    with pytest.raises(SizesError, match=r"unknown_share \[0, 0.2\] hides none of 4 labels.*at least 1/4"):
        fit_module.fit(change(recipe, unknown_share=(0.0, 0.2)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
