"""Stages, helpers and what others ask of a method, by a small method that has them; no module names a method."""

import ast
import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ctran
from ctran import methods, registry
from ctran.errors import UserTypeError
from ctran.labels import LabelSpace
from ctran.plots.embeddings import label_embeddings
from ctran.training.fit import fit
from ctran.training.options import RENAMED
from ctran.training.pipeline import build_tagger, prepare, prior_bias
from ctran.training.recipe import RecipeError, hints_of, read_recipe
from ctran.training.task import LabelTask
from tests.conftest import TOY
from tests.data.truths import sparse

SOURCE = Path(ctran.__file__).parent


@pytest.fixture
def recipe(toys, folder):
    toy = [
        f for pair in zip(TOY[::2], TOY[1::2], strict=True) if not pair[0].endswith(("_dim", "_layers", "_heads")) for f in pair
    ]
    flags = ["--method", "two_stages", "--source", "imagefolder", "--root", str(folder), "--absent", "negative"]
    return read_recipe(None, [*toy, *flags, "--training.backbone_learning_rate", "0"])


def test_each_stage_trains_its_parts_at_its_rates(recipe, tmp_path):
    before = build_tagger(recipe, prepare(recipe).labels).model.state_dict()
    one = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, epochs=1))
    fit(one, tmp_path / "one")
    first = load_file(tmp_path / "one" / "model" / "model.safetensors")
    assert torch.equal(first["frozen.weight"], before["frozen.weight"]) and not torch.equal(first["bias"], before["bias"])
    fit(recipe, tmp_path / "two")
    last = torch.load(tmp_path / "two" / "last.ckpt", weights_only=True)["state_dict"]
    assert not torch.equal(last["model.frozen.weight"], before["frozen.weight"])
    assert last["helper.mean"] > 0  # only in the second stage
    assert not any("helper" in name for name in load_file(tmp_path / "two" / "model" / "model.safetensors"))


def test_a_part_that_a_stage_freezes_is_in_evaluation_mode(recipe, monkeypatch):
    """Else its batch norms would count on."""
    parts = prepare(recipe)
    task = LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids)
    modes = []
    for epoch in (0, 1):
        monkeypatch.setattr(LabelTask, "current_epoch", epoch)
        monkeypatch.setattr(LabelTask, "_start_stage", lambda self: None)
        task.on_train_epoch_start()
        modes.append(task.model.frozen.training)
    assert modes == [False, True] and task.model.training


def test_a_loss_knows_its_stage_and_its_terms_add_up(recipe, monkeypatch):
    parts = prepare(recipe)
    task = LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids)
    batch, shown = next(iter(parts.train)), []
    monkeypatch.setattr(task, "log", lambda name, value, **_: shown.append(float(value.detach())))
    totals = []
    for epoch in (0, 1):
        monkeypatch.setattr(LabelTask, "current_epoch", epoch)
        task.generator = torch.Generator().manual_seed(0)
        totals.append(float(task.training_step(batch, 0).detach()))
    count = (batch.truth == 2).sum(dim=1).float().mean().square()
    assert shown[0] == pytest.approx(shown[1])
    assert totals == pytest.approx([2 * shown[0] + float(count), shown[0] + float(count)])


def test_any_method_may_have_vectors_of_labels_and_a_prior(recipe):
    tagger = build_tagger(recipe, LabelSpace(("a", "b")))
    assert torch.equal(label_embeddings(tagger), tagger.model.frozen.weight)
    prior_bias(tagger.model, sparse([[2, 0], [2, 0], [1, 2], [1, 1]]))
    assert tagger.model.bias.sigmoid().tolist() == pytest.approx([2.5 / 5, 1.5 / 3])


def test_what_a_method_lacks_is_refused_by_name(recipe):
    with pytest.raises(
        UserTypeError, match="activation_checkpointing needs an encoder, which method 'two_stages' does not have"
    ):
        recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, activation_checkpointing=True))
        LabelTask(build_tagger(recipe, LabelSpace(("a",))).model, LabelSpace(("a",)), recipe, [])


def test_no_module_outside_of_methods_names_a_method():
    classes = {"CTran"}
    for name in registry.names(methods):
        module = registry.find(methods, name)
        made = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
        classes |= {c.__name__ for c in made if c.__name__ != "Config"}
    names = set(registry.names(methods)) - {"ctran", "sum"}  # also the names of the package and of a reduction
    found = []
    for path in SOURCE.rglob("*.py"):
        where = path.relative_to(SOURCE)
        if where.parts[0] in ("methods", "model", "paper"):  # the paper's model, by definition
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = {
                *([node.id] if isinstance(node, ast.Name) else []),
                *([node.attr] if isinstance(node, ast.Attribute) else []),
                *([alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []),
            }
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            named = module.startswith("ctran.methods.") and module != "ctran.methods._base"
            if words & classes or text in names or named:
                found.append(f"{where}:{node.lineno}")
    assert not found


@pytest.mark.parametrize(
    ("former", "new"),
    [
        ("training.apart_epochs", "model.separate_epochs, a key of method anchored"),
        ("training.anchor_folds", "model.anchor_folds, a key of method anchored"),
        ("training.recompute", "training.activation_checkpointing"),
    ],
)
def test_a_recipe_with_a_former_key_gets_the_name_of_the_new_one(former, new, tmp_path):
    part, name = former.split(".")
    (tmp_path / "old.yaml").write_text(f"method: anchored\n{part}:\n  {name}: 1\n")
    with pytest.raises(RecipeError, match=rf"old.yaml: {former} is now {new}$"):
        read_recipe(tmp_path / "old.yaml")


def test_every_key_named_instead_of_a_former_one_is_a_key():
    for method in registry.names(methods):
        renamed = RENAMED | registry.find(methods, method).Config.renamed
        assert renamed.keys().isdisjoint(hints_of(method, "openclipart"))
        assert set(renamed.values()) <= hints_of(method, "openclipart").keys()
