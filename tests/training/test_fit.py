"""The run folder, and that the same recipe gives the same weights."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

import ctran
from ctran.images.transforms import open_image
from ctran.labels import LabelSpace
from ctran.methods import anchored
from ctran.training import stored_features
from ctran.training.fit import fit, fit_only
from ctran.training.pipeline import build_tagger, inherit, prepare, prior_bias
from ctran.training.recipe import read_recipe
from ctran.training.run_folder import RunFolder, RunFolderError
from ctran.training.task import LabelTask
from tests.conftest import TOY
from tests.data.truths import sparse


@pytest.fixture
def recipe(folder):
    return read_recipe(None, [*TOY, "--source", "imagefolder", "--root", str(folder), "--absent", "negative"])


def change(recipe, **options):
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **options))


def weights(run):
    return load_file(run / "model" / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_run_folder_holds_all_that_is_promised(toy_run):
    run = toy_run.folder
    names = {p.name for p in run.iterdir()}
    assert names >= {"recipe.yaml", "versions.json", "history.json", "curves.png", "model", "last.ckpt", "tensorboard"}
    assert names >= {"metrics.json", "metrics.md", "predictions.png"} and "skipped.json" not in names
    assert {p.name for p in (run / "model").iterdir()} == {
        "config.json",
        "labels.json",
        "model.safetensors",
        "README.md",
    }
    assert all(min(open_image(run / name).size) > 300 for name in ("curves.png", "predictions.png"))
    assert json.loads((run / "versions.json").read_text())["seed"] == 0
    assert not list(run.rglob("*.part"))
    flags = ["--source", "imagefolder", "--root", str(toy_run.pictures), "--absent", "negative"]
    assert read_recipe(run / "recipe.yaml") == read_recipe(None, [*TOY, *flags])


@pytest.mark.parametrize(("frozen", "ema"), [(True, 0.9), (False, 0.0)])
def test_training_is_in_training_mode_and_evaluation_is_not(recipe, tmp_path, monkeypatch, frozen, ema):
    modes = []
    step, check = LabelTask.training_step, LabelTask.validation_step

    def training_step(self, *args):
        modes.append(("train", self.model.encoder.training, self.model.backbone.training))
        return step(self, *args)

    def validation_step(self, *args):
        modes.append(("val", self.evaluated.encoder.training, self.evaluated.backbone.training))
        return check(self, *args)

    monkeypatch.setattr(LabelTask, "training_step", training_step)
    monkeypatch.setattr(LabelTask, "validation_step", validation_step)
    fit(change(recipe, ema=ema, epochs=1, backbone_learning_rate=0.0 if frozen else None), tmp_path / "run")
    assert set(modes) == {("train", True, not frozen), ("val", False, False)}


def test_one_recipe_and_one_seed_give_one_model(toy_run, recipe, tmp_path):
    report = fit(recipe, tmp_path / "again")
    assert same(weights(toy_run.folder), weights(tmp_path / "again"))
    assert [s.setting.share for s in report.settings] == [0, 0.25, 0.5, 0.75]
    for run in (toy_run.folder, tmp_path / "again"):
        saved = json.loads((run / "metrics.json").read_text())
        assert saved["settings"][0]["hidden"]["mAP"] == pytest.approx(report.settings[0].hidden.mAP, nan_ok=True)
    fit(dataclasses.replace(recipe, seed=1), tmp_path / "other")
    assert not same(weights(toy_run.folder), weights(tmp_path / "other"))


STAGES = {"backbone_learning_rate": 0.0}


def staged(recipe, model=None, **options):
    """The recipe as the demo trains: separately, then jointly on cross-fitted anchors."""
    own = {"soft_states": True, "separate_epochs": 2, "separate_learning_rate": 0.01}
    own |= {"anchor_folds": 3, "anchor_learning_rate": 0.0} | (model or {})
    config = anchored.Config(**dataclasses.asdict(recipe.model), **own)
    changed = change(recipe, **{**STAGES, **options})
    return dataclasses.replace(changed, method="anchored", model=config)


STEPS = {"optimizer": "sgd", "schedule": "steps", "milestones": (1, 2), "warmup": 0.1, "trainable": ("encoder", "classifier")}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),  # the others have its optimizer too, or its schedule
        STEPS,
        {"ema": 0.9, "schedule": "cosine", "hide_image": 0.5, "all_unknown": 0.3},
        STAGES,
    ],
)
def test_a_resumed_run_equals_an_unbroken_one(recipe, tmp_path, monkeypatch, options):
    recipe = (staged if options is STAGES else change)(recipe, epochs=3, **options)
    fit(recipe, tmp_path / "whole")

    def interrupt(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "on_train_epoch_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, tmp_path / "broken")
    assert not (tmp_path / "broken" / "metrics.json").exists()
    assert len(json.loads((tmp_path / "broken" / "history.json").read_text())) == 2
    fit(recipe, tmp_path / "broken", resume=True)
    assert len(json.loads((tmp_path / "broken" / "history.json").read_text())) == 3
    history = [json.loads((tmp_path / r / "history.json").read_text()) for r in ("whole", "broken")]
    assert history[0] == history[1]
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))


@pytest.mark.slow
def test_ctrl_c_keeps_the_finished_epochs_and_says_how_to_go_on(recipe, tmp_path):
    change(recipe, epochs=10_000).save(tmp_path / "long.yaml")
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ctran", "train", str(tmp_path / "long.yaml"), "--output", str(run)]
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs in the background ignores Ctrl-C
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"ctran train --resume {run}" in errors and "Traceback" not in errors
    assert ctran.load(run).labels.names == ("blue", "green", "red", "warm")
    assert (run / "last.ckpt").exists()


def task_of(recipe):
    parts = prepare(recipe)
    return LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids), parts


def test_separate_epochs_train_the_encoder_on_labels_and_the_anchor_on_images(recipe, monkeypatch):
    task, parts = task_of(staged(recipe, epochs=3))
    monkeypatch.setattr(LabelTask, "current_epoch", 0)
    monkeypatch.setattr(task, "log", lambda *args, **kwargs: None)
    task.generator = torch.Generator().manual_seed(0)
    batch = next(iter(parts.train))
    task.training_step(batch, 0).backward()
    moved = {n.split(".")[0] for n, p in task.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"labels", "encoder", "classifier", "anchor"}  # not narrow: no image token is used
    assert task.helper.copies.weight.grad.any()


def test_jointly_the_encoder_learns_on_what_was_held_out(recipe, monkeypatch):
    task, parts = task_of(staged(recipe, epochs=3))
    monkeypatch.setattr(LabelTask, "current_epoch", 2)
    monkeypatch.setattr(task, "log", lambda *args, **kwargs: None)
    batch, seen = next(iter(parts.train)), []
    torch.nn.init.normal_(task.helper.copies.weight)
    monkeypatch.setattr(task.model, "pooled_logits", lambda features: seen.append(features))
    task.generator = torch.Generator().manual_seed(0)
    task.training_step(batch, 0).backward()
    assert seen == []
    assert task.helper.copies.weight.grad is None and task.model.anchor.weight.grad is None
    assert task.model.narrow.weight.grad.any()


def test_learning_rates_of_the_stages(recipe):
    options = {"epochs": 4, "learning_rate": 0.1, "schedule": "cosine"}
    task, _ = task_of(staged(recipe, {"separate_learning_rate": 0.3}, **options))
    groups = [{"part": part, "lr": rate} for part, rate in (("", 0.1), ("anchor", 0.1), ("backbone", 0.0))]
    first, second = task._schedules(groups, 10)
    assert (first.steps, first.rates) == (20, [0.3, 0.3, 0.0]) and (second.steps, second.rates) == (20, [0.1, 0.0, 0.0])
    alone = {"separate_epochs": 4, "anchor_folds": 0, "anchor_learning_rate": None}
    whole, _ = task_of(staged(recipe, alone, **options))
    assert [s.steps for s in whole._schedules(groups, 10)] == [40]


@pytest.mark.parametrize("method", ["ctran", "linear"])
def test_matrices_decay_and_rows_of_labels_norms_and_biases_do_not(recipe, folder, method):
    flags = [*TOY, "--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--training.weight_decay", "0.1"]
    if method == "linear":
        flags = [*flags[: flags.index("--model.token_dim")], *flags[flags.index("--training.batch_size") :]]
    task, _ = task_of(read_recipe(None, ["--method", method, *flags]))
    names = {id(p): n for n, p in task.model.named_parameters()}
    decays = {names[id(p)] for g in task._groups() for p in g["params"] if g["weight_decay"]}
    ours = {n for n in decays if not n.startswith("backbone")}
    layer = {f"encoder.layers.0.{part}.weight" for part in ("qkv", "out", "wide", "narrow")}
    assert ours == ({"narrow.weight"} | layer if method == "ctran" else {"classifier.weight"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separate_epochs": 0}, "anchor_folds needs model.separate_epochs"),
        ({"anchor_learning_rate": None}, "and anchor_learning_rate 0"),
        ({"anchor": False, "soft_states": False, "anchor_folds": 0}, "needs model.anchor true"),
    ],
)
def test_stages_and_folds_that_do_not_fit_are_refused(recipe, options, message):
    with pytest.raises(ValueError, match=message):
        staged(recipe, options)


def test_a_folder_that_is_there_is_not_overwritten(recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"is there already: go on with --resume .*, or give another"):
        fit(recipe, tmp_path / "run")


def test_a_recipe_that_cannot_start_leaves_no_folder_in_the_way(recipe, folder, tmp_path):
    (folder / "03.png").rename(folder / "moved.png")
    with pytest.raises(ValueError, match=r"row 4.*03\.png"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "wrong", [{"trainable": ("head",)}, {"accelerator": "gpu"}, {"accelerator": "abacus"}], ids=["names", "gpu", "abacus"]
)
def test_training_that_cannot_start_leaves_no_folder_either(recipe, tmp_path, wrong):
    if wrong == {"accelerator": "gpu"} and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=r"training|accelerator"):
        fit(change(recipe, **wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_a_positive_label_in_val_the_latest_epoch_is_kept(recipe, folder, tmp_path, capsys):
    rows = [
        f"{n:02}.png,{'red' if n < 20 else ''},{'val' if n == 20 else 'test' if n % 3 == 0 else 'train'}" for n in range(24)
    ]
    (folder / "metadata.csv").write_text("file_name,labels,split\n" + "\n".join(rows))
    fit(change(recipe, epochs=1), tmp_path / "short")
    fit(change(recipe, epochs=2), tmp_path / "long")
    assert "the latest epoch is kept" in capsys.readouterr().err
    assert not same(weights(tmp_path / "short"), weights(tmp_path / "long"))
    history = json.loads((tmp_path / "long" / "history.json").read_text())
    assert [row["val_score"] for row in history] == [None, None]


def test_a_model_without_the_files_of_its_training_is_not_trained_over(finished_run, tmp_path):
    published = tmp_path / "published"
    shutil.copytree(finished_run.folder / "model", published / "model")
    shutil.copy(finished_run.folder / "recipe.yaml", published)
    before = {path: path.read_bytes() for path in published.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match=r"nothing to resume.*--training.init_from .*published --output NEW"):
        fit(read_recipe(published / "recipe.yaml"), published, resume=True)
    assert {path: path.read_bytes() for path in published.rglob("*") if path.is_file()} == before


def test_a_run_whose_data_changed_is_not_resumed(finished_run, tmp_path):
    run = finished_run.copy_with_pictures(tmp_path)
    text = (run.pictures / "metadata.csv").read_text().replace("warm", "hot")
    (run.pictures / "metadata.csv").write_text(text)
    with pytest.raises(
        RunFolderError, match=r"not those that .* was trained with: train \(19 pictures then, 19 now; other labels\)"
    ):
        fit(read_recipe(run.folder / "recipe.yaml"), run.folder, resume=True)


def test_pictures_left_out_on_request_are_listed_in_the_run_folder(recipe, folder, tmp_path):
    (folder / "03.png").write_bytes(b"no picture")
    data = dataclasses.replace(recipe.data, skip_broken=True)
    fit(dataclasses.replace(change(recipe, epochs=1), data=data), tmp_path / "run")
    (only,) = json.loads((tmp_path / "run" / "skipped.json").read_text())
    assert only["row"].endswith("row 4") and "not a picture" in only["reason"]


def test_cached_features_train_as_the_backbone_itself_would(recipe, tmp_path):
    """One view, frozen backbone, no augmentation: tokens from disk (float16, in bf16) or computed again, near the same."""
    frozen = change(recipe, backbone_learning_rate=0.0, augmentation="none", epochs=1)
    fit(frozen, tmp_path / "direct")
    fit(change(frozen, feature_views=1), tmp_path / "cached")
    one, other = weights(tmp_path / "direct"), weights(tmp_path / "cached")
    for name, value in one.items():
        if name.startswith("backbone"):
            assert torch.equal(value, other[name])
    moved = [k for k in one if not k.startswith("backbone") and not torch.allclose(one[k], other[k], atol=0.05)]
    assert moved == []


@pytest.mark.slow
@pytest.mark.skipif(stored_features.compiler() is None, reason="needs a C++ compiler")
def test_a_compiled_backbone_gives_the_same_tokens(recipe, monkeypatch):
    frozen = change(recipe, backbone_learning_rate=0.0, augmentation="none", feature_views=1)
    plain = prepare(frozen).train.dataset.cache
    monkeypatch.setattr(stored_features, "WORTH_COMPILING", 1)
    compiled = prepare(frozen).train.dataset.cache
    assert compiled.folder != plain.folder  # other precision, other key
    assert abs(compiled.arrays["tokens"].astype(float) - plain.arrays["tokens"].astype(float)).max() < 0.05


def test_without_a_compiler_nothing_is_compiled(recipe, monkeypatch):
    monkeypatch.setattr(stored_features, "WORTH_COMPILING", 1)
    monkeypatch.setattr(stored_features.shutil, "which", lambda name: None)
    monkeypatch.setattr(torch, "compile", lambda module: pytest.fail("compiled"))
    prepare(change(recipe, backbone_learning_rate=0.0, augmentation="none", feature_views=1))


def test_no_truth_that_is_not_shown_can_leak(recipe, folder):
    """Flip, in the data set, all that the model is not told: every logit stays as it was, to the bit."""
    parts = prepare(recipe)
    table, tagger = parts.tables["train"], parts.tagger
    from ctran.data.loading import PictureSet, loader
    from ctran.evaluation.evaluate import predict
    from ctran.masking import EvalSetting, known_labels

    half = EvalSetting(0.5)

    batches = loader(PictureSet(table, tagger.labels, tagger.preprocessing), batch_size=8)
    _, (before,) = predict(tagger.model, batches, table.ids, table.labels, [half])
    was = table.truth.dense()
    known = known_labels(half, was, table.ids, table.labels)
    flipped = torch.where(known, was, 3 - was)
    as_lists = [[[i for i, s in enumerate(row) if s == code] for row in flipped.tolist()] for code in (2, 1)]
    rows = table.rows.remove_columns(["positives", "negatives"])
    rows = rows.add_column("positives", as_lists[0]).add_column("negatives", as_lists[1])
    liar = dataclasses.replace(table, rows=rows)
    assert (liar.truth.dense() != was).any()
    batches = loader(PictureSet(liar, tagger.labels, tagger.preprocessing), batch_size=8)
    truth, (after,) = predict(tagger.model, batches, liar.ids, liar.labels, [half])
    assert torch.equal(truth.to(torch.int8), flipped)
    assert torch.equal(before.logits, after.logits)


def test_prior_bias_is_the_log_odds_of_what_was_looked_at(recipe):
    tagger = build_tagger(recipe, LabelSpace(("a", "b")))
    prior_bias(tagger.model, sparse([[2, 0], [2, 0], [1, 2], [1, 1]]))
    bias = tagger.model.get_parameter("classifier.bias").sigmoid()
    assert bias.tolist() == pytest.approx([2.5 / 5, 1.5 / 3])


def test_fine_tuning_keeps_what_is_shared(recipe):
    old = build_tagger(recipe, LabelSpace(("a", "b", "c")))
    new = build_tagger(dataclasses.replace(recipe, seed=1), LabelSpace(("c", "x", "a")))
    before = new.model.classifier.weight.clone()
    assert inherit(new, old) == ["x"]
    assert torch.equal(new.model.classifier.weight[0], old.model.classifier.weight[2])
    assert torch.equal(new.model.labels.label.weight[2], old.model.labels.label.weight[0])
    assert torch.equal(new.model.classifier.weight[1], before[1])
    assert torch.equal(new.model.encoder.layers[0].qkv.weight, old.model.encoder.layers[0].qkv.weight)


def test_fine_tuning_from_another_shape_is_refused(recipe):
    wide = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, token_dim=32))
    deep = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, num_layers=2))
    new = build_tagger(recipe, LabelSpace(("a",)))
    for other, key in ((wide, "token_dim"), (deep, "num_layers")):
        with pytest.raises(ValueError, match=f"options must be those of the folder .*{key}"):
            inherit(new, build_tagger(other, LabelSpace(("a",))))


def test_training_starts_from_a_model_folder(toy_run, recipe, folder, tmp_path):
    text = (folder / "metadata.csv").read_text().replace("warm", "hot")
    (folder / "metadata.csv").write_text(text)
    fit(change(recipe, epochs=1, learning_rate=0.0, init_from=toy_run.folder), tmp_path / "second")
    one, other = ctran.load(toy_run.folder), ctran.load(tmp_path / "second")
    assert other.labels.names == ("blue", "green", "hot", "red")
    assert torch.equal(one.model.classifier.weight[2], other.model.classifier.weight[3])


def test_fine_tuning_keeps_the_values_that_the_folder_expects(recipe, tmp_path):
    tagger = build_tagger(recipe, LabelSpace(("a",)))
    tagger.preprocessing = dataclasses.replace(tagger.preprocessing, mean=(0.5, 0.5, 0.5), std=(2.0, 2.0, 2.0))
    tagger.config["preprocessing"] = dataclasses.asdict(tagger.preprocessing)
    tagger.save(tmp_path / "converted")
    tuned = build_tagger(change(recipe, init_from=tmp_path / "converted"), LabelSpace(("a",)))
    assert tuned.preprocessing == tagger.preprocessing
    assert tuned.config["preprocessing"]["std"] == (2.0, 2.0, 2.0)


def test_bf16_trains(recipe, tmp_path):
    fit(change(recipe, precision="bf16-mixed", epochs=1), tmp_path / "run")
    assert all(v.dtype != torch.bfloat16 for v in weights(tmp_path / "run").values())
    assert all(torch.isfinite(v.float()).all() for v in weights(tmp_path / "run").values())


def test_the_average_of_weights_is_an_average(recipe):
    task = LabelTask(build_tagger(recipe, LabelSpace(("a",))).model, LabelSpace(("a",)), change(recipe, ema=0.5), [])
    start = task.model.classifier.weight.detach().clone()
    task.model.classifier.weight.data += 1.0
    task.on_train_batch_end(None, None, 0)
    decay = 2 / 11  # (1 + n) / (10 + n) after the first step
    assert torch.allclose(task.evaluated.classifier.weight, start + (1 - decay), atol=1e-6)


def test_a_training_without_its_evaluation_has_the_same_model_and_gets_the_evaluation_when_it_is_resumed(recipe, tmp_path):
    fit_only(recipe, tmp_path / "plain")
    assert (tmp_path / "plain/finished.json").exists() and not (tmp_path / "plain/metrics.json").exists()
    fit(recipe, tmp_path / "plain", resume=True)
    fit(recipe, tmp_path / "whole")
    assert same(weights(tmp_path / "plain"), weights(tmp_path / "whole"))
    assert (tmp_path / "plain/metrics.json").read_text() == (tmp_path / "whole/metrics.json").read_text()
