import dataclasses
from pathlib import Path

import pytest

from ctran import recipes, registry
from ctran.data import sources
from ctran.labels import Group, LabelSpace
from ctran.masking import EvalSetting
from ctran.model.schemes.latent import LatentEncoder
from ctran.training.recipe import RecipeError, Training, named, read_recipe
from ctran.training.recipe_files import find_recipe, name_of

SHIPPED = sorted(Path(recipes.__path__[0]).glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_recipe_is_read_and_says_what_it_is_for(path):
    source = named(path, ())[1]
    read_recipe(path, ["--root", "x", "--absent", "negative"] if source == "imagefolder" else [])  # which names no folder
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert "ctran train" in text and "core" in text and "Expected" in text


def test_defaults_are_the_papers():
    options = read_recipe().training
    assert (options.optimizer, options.learning_rate, options.batch_size, options.weight_decay) == ("adam", 1e-5, 16, 0)
    assert options.unknown_share == (0.25, 1.0)
    assert (options.all_unknown, options.hide_image, options.ema) == (0, 0, 0)
    model = read_recipe().model
    assert (model.backbone, model.image_size) == ("resnet101", 576)


def test_flags_win_over_the_file(tmp_path):
    (tmp_path / "r.yaml").write_text("seed: 3\ntraining:\n  epochs: 7\n  batch_size: 2\n")
    recipe = read_recipe(tmp_path / "r.yaml", ["--training.epochs", "9", "--training.unknown_share=[0.5, 1]"])
    assert (recipe.seed, recipe.training.epochs, recipe.training.batch_size) == (3, 9, 2)
    assert recipe.training.unknown_share == (0.5, 1.0)


def test_short_flags_are_keys_of_data(folder):
    flags = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--skip-broken"]
    data = read_recipe(None, flags).data
    assert (data.root, data.absent, data.skip_broken) == (folder, "negative", True)


def test_a_recipe_survives_the_disk(tmp_path, folder):
    flags = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--training.ema", "0.9"]
    recipe = read_recipe(None, flags)
    recipe.save(tmp_path / "recipe.yaml")
    assert read_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--training.epocs", "3"], r"unknown recipe key 'training.epocs'; did you mean 'training.epochs'\?"),
        (["--trainning.epochs", "3"], r"did you mean 'training.epochs'\?"),
        (["--training.epochs", "many"], "training.epochs"),
        (["--training.epochs", "-1"], "training.epochs must not be negative"),
        (["--training.hide_image", "2"], "training.hide_image must lie between 0 and 1"),
        (["--training.epochs"], "--training.epochs needs a value"),
        (["epochs", "3"], "expected --key value, got 'epochs'"),
        (["--source", "imagefold"], r"unknown source 'imagefold'; did you mean 'imagefolder'\?"),
        (["--method", "c-tran"], r"unknown method 'c-tran'; did you mean 'ctran'\?"),
        (["--source", "imagefolder"], "data.root"),
        (["--training.feature_views", "2"], "needs a frozen backbone"),
        (["--training.learning_rate", "-1"], "training.learning_rate must not be negative"),
        (["--training.unknown_share", "[0.9, 0.1]"], "training.unknown_share must be two shares"),
        (["--evaluation.known_share", "[0, 25]"], "evaluation.known_share must be shares between 0 and 1"),
        (["--seed", "-1"], "seed must be a number from 0 on"),
        (["--training.epochs", "@"], "training.epochs: expected a whole number, got '@'"),
        (["--method", "anchored", "--model.anchor_folds", "1"], "must be 0 or at least 2, got 1"),
        (["--method", "anchored", "--model.separate_epochs", "200"], "between 0 and training.epochs, got 200"),
        (["--model.dropouts", "0.1"], r"did you mean 'model.dropout'\?"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(flags, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, flags)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is not YAML: expected the node content.* \\(line 1"), ("- 1\n", "keys and values, got a list")],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "r.yaml")


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="no recipe 'dem'; did you mean 'demo'"):
        find_recipe("dem")


def test_every_key_has_a_description(capsys):
    from ctran.training.recipe import print_help

    for source in registry.names(sources):
        print_help("ctran", source)
    text = capsys.readouterr().out
    for name in Training.__dataclass_fields__:
        assert f"--training.{name}" in text
        assert f" {name}: " in (Training.__doc__ or "")


@pytest.mark.parametrize("value", [",", ":", "|", "\t", "#", "2024", "yes", "a #1", "@x", "*.png"])
def test_names_and_paths_are_taken_as_they_are(folder, value):
    flags = ["--source", "imagefolder", "--root", value, "--absent", "negative", "--data.delimiter", value]
    data = read_recipe(None, flags).data
    assert (str(data.root), data.delimiter) == (value, value)
    assert read_recipe(None, [*flags, "--training.init_from", "null"]).training.init_from is None


def test_a_saved_recipe_works_from_another_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    recipe = read_recipe(None, ["--source", "imagefolder", "--root", folder.name, "--absent", "negative"])
    recipe.save(tmp_path / "recipe.yaml")
    assert read_recipe(tmp_path / "recipe.yaml").data.root == folder


def test_a_recipe_starts_from_its_base(tmp_path):
    (tmp_path / "big.yaml").write_text("seed: 4\nmodel:\n  num_layers: 6\n  dropout: 0.3\ntraining:\n  epochs: 9\n")
    (tmp_path / "small.yaml").write_text("base: big\nmodel:\n  num_layers: 1\n")
    (tmp_path / "smaller.yaml").write_text("base: small\ntraining:\n  epochs: 2\n")
    recipe = read_recipe(tmp_path / "smaller.yaml")
    assert (recipe.seed, recipe.model.num_layers, recipe.model.dropout, recipe.training.epochs) == (4, 1, 0.3, 2)


def test_a_base_may_be_a_shipped_recipe(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: demo\nseed: 9\n")
    assert read_recipe(tmp_path / "mine.yaml") == dataclasses.replace(read_recipe(find_recipe("demo")), seed=9)


def test_a_base_that_leads_back_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b\n")
    (tmp_path / "b.yaml").write_text("base: a\n")
    with pytest.raises(RecipeError, match="its base leads back to it"):
        read_recipe(tmp_path / "a.yaml")


GROUPS = """
labels:
  extra: [weather]
  groups:
    weather: {labels: [sun, "no. 7"]}
    kind: {exclusive: true, labels: [cat, dog]}
"""


def test_groups_and_extra_labels_of_a_recipe_survive_its_run_folder(tmp_path):
    (tmp_path / "r.yaml").write_text(GROUPS)
    recipe = read_recipe(tmp_path / "r.yaml")
    recipe.save(tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml") == recipe
    space = recipe.labels.of(LabelSpace(("cat", "dog", "sun", "no. 7")))
    assert space.extra == ("sun", "no. 7")
    assert space.groups == (Group("weather", ("sun", "no. 7")), Group("kind", ("cat", "dog"), exclusive=True))


def test_extra_labels_can_be_given_as_a_flag():
    assert read_recipe(None, ["--labels.extra", "[sun, rain]"]).labels.extra == ("sun", "rain")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--evaluation.presets", "[ctrn]"], "unknown preset 'ctrn'"),
        (["--evaluation.draws", "0"], "evaluation.draws must be at least 1"),
        (["--evaluation.known_groups", "[-1]"], r"evaluation.known_groups: each must not be negative or infinite, got \[-1\]"),
        (["--evaluation.known_groups", "[1]", "--evaluation.reveal", "positives"], "become known as a whole, drawn at random"),
        (["--training.loss", "asymmetric"], "training.loss"),
        (["--model.centre", "0"], "model.centre must lie above 0"),
        (["--labels.groups", "{kind: {labels: [a], exclusiv: true}}"], "exclusiv"),
    ],
)
def test_options_of_the_settings_are_checked(flags, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, flags)


@pytest.mark.parametrize(
    ("name", "folder"), [("demo", "demo"), ("paper/coco80", "paper-coco80"), ("modern/cub312", "modern-cub312")]
)
def test_each_shipped_recipe_has_a_run_folder_of_its_own(name, folder):
    assert name_of(find_recipe(name)) == folder


def test_groups_become_settings():
    options = read_recipe(None, ["--evaluation.known_groups", "[0, 10]"]).evaluation
    assert options.settings() == [EvalSetting(groups=0), EvalSetting(groups=10)]
    shares = dataclasses.replace(options, known_groups=(), known_share=(0.5,), reveal="positives")
    assert shares.settings() == [EvalSetting(0.5, reveal="positives")]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.image_size", "10000000"], "model.image_size must lie between 1 and 8192 pixels, got 10000000"),
        (["--model.image_size", "0"], "model.image_size must lie between 1 and 8192 pixels, got 0"),
    ],
)
def test_sizes_that_no_machine_holds_are_refused(flags, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, flags)


def test_latents_are_few():
    for wrong in (0, 10**11):
        with pytest.raises(ValueError, match="num_latents must lie between 1 and 65,536"):
            LatentEncoder(dim=8, num_layers=1, num_heads=2, dropout=0.0, num_latents=wrong)
