"""A key of a recipe that would have no effect is an error that names it, and each key is known to have one otherwise."""

import dataclasses

import pytest

from ctran import losses, methods, registry
from ctran.cli.main import main
from ctran.data import sources
from ctran.errors import UserError
from ctran.labels import Group, LabelSpace
from ctran.methods._base import build
from ctran.training.pipeline import prepare
from ctran.training.recipe import hints_of, read_recipe
from ctran.training.unused import unused, without_unused
from tests.conftest import TOY
from tests.methods.test_statistics import recipe_of

PLAIN = LabelSpace(("a", "b", "c"))
EXTRA = LabelSpace(("a", "b", "c", "d"), extra=("c", "d"), groups=(Group("g", ("a", "b")),))
ONE_OF = LabelSpace(("a", "b", "c"), groups=(Group("g", ("a", "b", "c"), exclusive=True),))


def lines(flags, labels):
    """Of a recipe, from ``--key value`` flags in one text: the line for each key without effect."""
    recipe = read_recipe(None, ["--model.backbone", "test_resnet", *flags.split()])
    return list(unused(recipe, build(recipe.method, recipe.model, labels), labels))


FITTED = "--method pairwise --training.epochs 0"
ANCHORED = "--method anchored --training.epochs 9"
BOTTLENECK = "--method concept_bottleneck --model.variant"
GCN = "--method ml_gcn"
FEEDBACK = "--method feedback_prop"
NO_IMAGE = "--model.use_image false"
SGD = "--training.optimizer sgd"
STEPS = {  # keys of training by gradient steps: with a fitted method, each is refused
    "training.optimizer": "sgd",
    "training.learning_rate": "0.5",
    "training.weight_decay": "0.1",
    "training.schedule": "cosine",
    "training.warmup": "0.2",
    "training.clip_norm": "1",
    "training.accumulate_grad_batches": "4",
    "training.loss": "asl",
    "training.reduction": "sum",
    "training.ema": "0.9",
    "training.patience": "3",
    "training.trainable": "[classifier]",
    "training.activation_checkpointing": "true",
    "training.prior_bias": "true",
    "training.all_unknown": "0.2",
    "training.hide_image": "0.1",
    "training.exclusive": "softmax",
    "loss.label_smoothing": "0.1",
}
CASES = [
    *((FITTED, key, value, "'pairwise' is fitted in one step", PLAIN) for key, value in STEPS.items()),
    (f"{FITTED} --training.loss asl", "loss.margin", "0.1", "is fitted in one step", PLAIN),
    (f"{FITTED} --training.loss asl", "loss.gamma_negative", "1", "is fitted in one step", PLAIN),
    (f"{FITTED} --training.loss asl", "loss.gamma_positive", "1", "is fitted in one step", PLAIN),
    ("--training.loss entropy --loss.share 0", "loss.beta", "0.5", "no entry becomes a pseudo-label", PLAIN),
    ("--training.loss entropy --loss.share 0", "loss.rounds", "2", "no entry becomes a pseudo-label", PLAIN),
    ("--training.loss selective --loss.frequent 0", "loss.likely", "0.1", "all unknown entries are left out", PLAIN),
    ("--training.loss selective --loss.frequent 0", "loss.gamma_unknown", "1", "all unknown entries are left out", PLAIN),
    ("--training.loss impute --loss.weight 0", "loss.listed", "0.1", "unknown entries have no loss", PLAIN),
    ("--training.loss large_loss --loss.rise 0", "loss.scheme", "correct", "no loss is large", PLAIN),
    (f"{FITTED} --training.loss focal", "loss.gamma", "1", "is fitted in one step", PLAIN),
    (f"{FITTED} --training.loss focal", "loss.alpha", "null", "is fitted in one step", PLAIN),
    (FITTED, "training.batch_size", "8", "batches of at least 32", PLAIN),
    (FITTED, "training.init_from", "runs/x", "fitted to the training pictures alone", PLAIN),
    ("", "training.momentum", "0.5", "it belongs to training.optimizer sgd, and this is adam", PLAIN),
    ("--training.optimizer adamw", "training.nesterov", "true", "and this is adamw", PLAIN),
    ("", "training.milestones", "[3]", "it belongs to training.schedule steps, and this is constant", PLAIN),
    ("--training.schedule cosine", "training.factor", "0.1", "and this is cosine", PLAIN),
    ("--training.schedule steps --training.epochs 3", "training.milestones", "[3,9]", "ends before the first", PLAIN),
    ("--training.schedule onecycle", "training.warmup", "0.1", "a warm-up of its own", PLAIN),
    ("--training.schedule cosine --training.epochs 3", "training.patience", "3", "training.epochs 3 are over", PLAIN),
    ("--training.unknown_share [1,1]", "training.all_unknown", "0.1", "leaves all labels unknown", PLAIN),
    ("--training.unknown_share [1,1]", "training.mask_by", "groups", "leaves all labels unknown", EXTRA),
    ("--training.unknown_share [1,1]", "training.mask_over", "extra", "leaves all labels unknown", EXTRA),
    ("--training.all_unknown 1", "training.unknown_share", "[0.5,1]", "leaves all labels unknown", PLAIN),
    ("--method linear", "training.unknown_share", "[0.5,1]", "'linear' does not use known labels", PLAIN),
    ("--method linear", "training.all_unknown", "0.2", "'linear' does not use known labels", PLAIN),
    ("", "training.mask_over", "extra", "there are no extra labels", PLAIN),
    ("", "training.mask_by", "groups", "no two labels that may be known", PLAIN),
    ("--training.mask_over extra", "training.mask_by", "groups", "no two labels that may be known", EXTRA),
    ("", "training.exclusive", "softmax", "there are no exclusive groups", EXTRA),
    ("--training.exclusive softmax", "training.loss", "focal", "as all are in exclusive groups", ONE_OF),
    ("--training.exclusive softmax", "loss.label_smoothing", "0.1", "as all are in exclusive groups", ONE_OF),
    ("--method linear", "training.hide_image", "0.3", "'linear' cannot leave images out", PLAIN),
    *(
        (f"--method {name}", "training.prior_bias", "true", f"{name!r} has no bias for each label", PLAIN)
        for name in ("add_gcn", "csra", "ml_gcn")
    ),
    (NO_IMAGE, "training.hide_image", "0.3", "'ctran' cannot leave images out", PLAIN),
    (f"{ANCHORED} --model.separate_epochs 9", "training.hide_image", "0.3", "no stage of this training", PLAIN),
    ("--training.feature_views 1 --training.backbone_learning_rate 0", "training.augmentation", "flip", "of one view", PLAIN),
    (NO_IMAGE, "training.augmentation", "flip", "the model does not use the image", PLAIN),
    *(
        ("", f"training.{key}", value, "training.devices and training.nodes are 1", PLAIN)
        for key, value in {"strategy": "ddp", "sync_batchnorm": "true", "heartbeat": "9"}.items()
    ),
    *(
        (f"--training.devices 2 {flags}", "training.sync_batchnorm", "true", "no batch norm is trained", PLAIN)
        for flags in ("--training.backbone_learning_rate 0", "--training.trainable [encoder]", NO_IMAGE)
    ),
    (NO_IMAGE, "training.backbone_learning_rate", "0.1", "the backbone is not trained", PLAIN),
    ("--training.trainable [encoder]", "training.backbone_learning_rate", "0.1", "the backbone is not trained", PLAIN),
    (
        "--training.trainable [backbone.network] --training.backbone_learning_rate 0.1",
        *("training.learning_rate", "0.2", "all of training.trainable has training.backbone_learning_rate", PLAIN),
    ),
    (
        "--method knn --training.epochs 0 --training.augmentation none --training.backbone_learning_rate 0",
        *("training.feature_views", "3", "by their first view alone; reset it: --training.feature_views 1", PLAIN),
    ),
    (f"{GCN} --model.word_vectors random", "model.missing_words", "random", "every word has a random vector", PLAIN),
    (GCN, "model.word_seed", "1", "no vectors are drawn", PLAIN),
    *(
        ("--method ml_zsl --model.wordnet labels", f"model.{key}", value, "takes the implications of the recipe", PLAIN)
        for key, value in {"synsets": "[a=b.n.01]", "positive_similarity": "0.5", "negative_similarity": "0.2"}.items()
    ),
    (f"{GCN} --model.neighbour_weight 0", "model.threshold", "0.5", "no label receives from another", PLAIN),
    ("--evaluation.known_groups [1]", "evaluation.known_share", "[0.5]", "known_groups takes its place", PLAIN),
    ("--evaluation.known_share [0]", "evaluation.reveal", "positives", "no label is known", PLAIN),
    ("--evaluation.known_share [0]", "evaluation.draws", "3", "no known labels are drawn", PLAIN),
    ("--evaluation.reveal confident", "evaluation.seed", "3", "no known labels are drawn", PLAIN),
    ("--model.fit cut", "model.centre", "0.9", "takes the middle of the picture", PLAIN),
    ("--model.fit cut --training.augmentation flip", "model.resample", "bilinear", "nothing else resizes it", PLAIN),
    ("--model.fit cut --training.augmentation cub299", "model.resizer", "torch", "nothing else resizes it", PLAIN),
    ("", "model.num_latents", "8", "model.attention is full, and only latent has latents", PLAIN),
    (NO_IMAGE, "model.positions", "sine", "model.use_image is false", PLAIN),
    (NO_IMAGE, "model.attention", "image_first", "model.use_image is false", PLAIN),
    ("--method linear --model.solver lbfgs --training.epochs 0", "model.dropout", "0.1", "model.solver sgd", PLAIN),
    (f"{ANCHORED} --model.anchor false", "model.pooled_dropout", "0.1", "model.anchor is false", PLAIN),
    (f"{ANCHORED} --model.anchor false", "model.anchor_learning_rate", "0.1", "model.anchor is false", PLAIN),
    (f"{ANCHORED} --model.anchor false", "model.anchor_weight_decay", "0.1", "model.anchor is false", PLAIN),
    (f"{ANCHORED} {NO_IMAGE}", "model.soft_states", "true", "model.use_image is false", PLAIN),
    (f"{ANCHORED} {NO_IMAGE}", "model.image_bias", "1", "model.use_image is false", PLAIN),
    (f"--method ctran {NO_IMAGE}", "model.inner_maps", "true", "model.use_image is false", PLAIN),
    ("--method tdrg", "model.inner_maps", "true", "takes the map of stride 16 by itself", PLAIN),
    ("--method srn", "model.inner_maps", "true", "takes the map of stride 16 by itself", PLAIN),
    ("--method srn --model.staged false", "model.joint_learning_rate", "0.5", "that of the only stage", PLAIN),
    (f"{ANCHORED} {NO_IMAGE}", "model.token_dropout", "0.1", "model.use_image is false", PLAIN),
    (f"{ANCHORED} --model.use_states false", "model.positive_bias", "1", "no label is known to be positive", PLAIN),
    (f"{ANCHORED} --model.dropout 0", "model.attention_dropout", "false", "model.dropout is 0", PLAIN),
    (ANCHORED, "model.separate_learning_rate", "0.1", "model.separate_epochs is 0", PLAIN),
    (f"{ANCHORED} --model.anchor_learning_rate 0", "model.anchor_weight_decay", "0.1", "is 0 in all epochs", PLAIN),
    (
        f"{ANCHORED} --model.separate_epochs 9 --model.separate_learning_rate 1",
        *("model.anchor_learning_rate", "0.1", "no epochs follow", PLAIN),
    ),
    (
        f"{ANCHORED} --model.separate_epochs 2 --model.anchor_learning_rate 0",
        *("model.anchor_folds", "3", "0 in model.separate_epochs (see model.separate_learning_rate)", PLAIN),
    ),
    (
        f"{ANCHORED} --model.separate_epochs 9 --model.separate_learning_rate 1 --model.anchor_learning_rate 0",
        *("model.anchor_folds", "3", "no epochs follow", PLAIN),
    ),
    *(
        (f"{BOTTLENECK} standard", f"model.{key}", value, "model.variant is standard", EXTRA)
        for key, value in (("concept_weight", "1"), ("normalise", "false"), ("weighted", "false"))
    ),
    *(
        (f"--method {name}", key, value, "the method trains sequences of labels", ONE_OF)
        for name in ("cnn_rnn",)
        for key, value in (("training.loss", "asl"), ("loss.label_smoothing", "0.1"), ("training.exclusive", "softmax"))
    ),
    *(
        (f"--method order_free_rnn --model.alignment {kind}", key, value, "and model.encoder_share is 0", ONE_OF)
        for kind in ("pla", "mla")
        for key, value in (("training.loss", "asl"), ("loss.label_smoothing", "0.1"), ("training.exclusive", "softmax"))
    ),
    *(
        ("--method rnn_attention", key, value, "model.objective is softmax_l2", ONE_OF)
        for key, value in (("training.loss", "asl"), ("loss.label_smoothing", "0.1"), ("training.exclusive", "softmax"))
    ),
    *(
        (f"{FEEDBACK} --model.steps 0", f"model.{key}", value, "model.steps is 0", PLAIN)
        for key, value in (("mode", "residual"), ("layers", "[8]"), ("rate", "1"), ("decay", "0"))
    ),
    (f"{FEEDBACK} --model.method ctran", "model.options", '{"num_latents":8}', "num_latents: model.attention is full", PLAIN),
    (FEEDBACK, "training.unknown_share", "[0.5,1]", "does not use known labels in training", PLAIN),
    ("--training.epochs 0 --training.init_from x", "training.learning_rate", "0.5", "training.epochs is 0", PLAIN),
    (BOTTLENECK + " joint", "training.unknown_share", "[0.5,1]", "does not use known labels in training", EXTRA),
    (BOTTLENECK + " joint", "model.concept_share", "0.5", "model.variant is joint", EXTRA),
    (BOTTLENECK + " multi_task", "model.task_learning_rate", "0.5", "model.variant is multi_task", EXTRA),
    *(
        (f"--source {name} --root x --data.select_on test", "data.val", "7", "none are held out", PLAIN)
        for name in ("coco80", "coco1000", "cub312", "news500", "vg500", "voc2007")
    ),
    ("--source coco1000 --root x --data.vocabulary v", "data.stopwords", "s", "data.vocabulary is made already", PLAIN),
    ("--source coco1000 --root x --data.val_captions v", "data.check_counts", "false", "not COCO's own", PLAIN),
    ("--source cub312 --root x --data.attributes image", "data.invisible", "absent", "data.attributes class", PLAIN),
    ("--source openimages --root x --data.labels l", "data.min_positives", "5", "lists the labels", PLAIN),
    ("--source planted --data.drawn_share 0", "data.drawing", "[0.5,0.6]", "draws nothing", PLAIN),
    ("--source planted_scenes --data.drawn_share 0", "data.large", "[0.5,0.6]", "draws nothing", PLAIN),
    ("--source planted_scenes --data.drawn_share 0", "data.small", "[0.1,0.2]", "draws nothing", PLAIN),
    (
        "--source labelstudio --root x --absent unknown --data.choices [tags]",
        *("data.negatives", "[not]", "none of them is in data.choices", PLAIN),
    ),
]
"""Flags, the key that has no effect beside them, a value, why, and the labels."""


@pytest.mark.parametrize(("flags", "key", "value", "why", "labels"), CASES)
def test_a_key_without_effect_is_refused(flags, key, value, why, labels):
    found = [line for line in lines(f"{flags} --{key} {value}", labels) if line.startswith(f"{key} has no effect: ")]
    assert len(found) == 1 and why in found[0] and f"; reset it: --{key} " in found[0]


USED = [
    ("", PLAIN),
    (FITTED, PLAIN),
    ("--method linear --training.unknown_share [1,1]", PLAIN),  # says what happens anyway
    (f"{SGD} --training.momentum 0.5 --training.nesterov true", PLAIN),
    ("--training.schedule steps --training.milestones [3] --training.factor 0.5 --training.epochs 5", PLAIN),
    ("--training.patience 200", PLAIN),
    ("--method order_free_rnn --model.alignment pool --training.loss focal", PLAIN),
    (
        "--method order_free_rnn --model.encoder_share 0.5 --training.loss focal",
        PLAIN,
    ),  # the run can be resumed with more epochs
    (f"{FITTED} --training.batch_size 64", PLAIN),
    ("--training.mask_by groups --training.exclusive softmax", ONE_OF),
    ("--training.mask_over extra", EXTRA),
    ("--training.mask_by groups", EXTRA),
    ("--training.exclusive softmax --training.reduction sum", ONE_OF),
    ("--training.hide_image 0.3", PLAIN),
    (f"{ANCHORED} --model.separate_epochs 2 --training.hide_image 0.3", PLAIN),
    ("--training.devices 2 --training.strategy ddp --training.sync_batchnorm true --training.heartbeat 9", PLAIN),
    ("--training.nodes 2 --training.strategy ddp", PLAIN),
    ("--training.devices 2 --training.trainable [backbone.network.layer4] --training.sync_batchnorm true", PLAIN),
    (f"{NO_IMAGE} --training.backbone_learning_rate 0 --training.augmentation none", PLAIN),
    ("--training.trainable [backbone,encoder] --training.backbone_learning_rate 0.1 --training.learning_rate 0.2", PLAIN),
    ("--model.fit cut --model.resample bilinear --training.augmentation cub299", PLAIN),
    (f"{NO_IMAGE} --model.attention latent --model.num_latents 8", PLAIN),
    (f"{ANCHORED} --model.use_states false --model.soft_states true --model.positive_bias 1", PLAIN),
    (
        f"{ANCHORED} --model.separate_epochs 2 --model.separate_learning_rate 0.1 --model.anchor_learning_rate 0 "
        "--model.anchor_folds 3 --model.anchor_weight_decay 0.1",
        PLAIN,
    ),
    (f"{GCN} --model.word_vectors random --model.word_seed 1", PLAIN),
    (f"{GCN} --model.missing_words random --model.word_seed 1", PLAIN),
    ("--evaluation.reveal positives --evaluation.draws 3", PLAIN),
    ("--source cub312 --root x --data.val 7 --data.invisible absent", PLAIN),
]
"""Flags that have an effect beside each other, near the cases above; and labels."""


@pytest.mark.parametrize(("flags", "labels"), USED)
def test_keys_that_have_an_effect_are_not_refused(flags, labels):
    assert lines(flags, labels) == []


TRAINED = "there is always a training, a validation and a test"
PICTURES = "all pictures are read, and enter the backbone"
DATA = "acts on what the files hold, which is known when they are read"
ALWAYS = {
    **dict.fromkeys(("training.epochs", "training.accelerator", "training.precision", "training.workers"), TRAINED),
    **dict.fromkeys(("training.devices", "training.nodes"), TRAINED),
    "training.deterministic": "acts on the algorithms of the device",
    **dict.fromkeys(("model.backbone", "model.weights", "model.image_size", "model.fit"), PICTURES),
    **dict.fromkeys(("model.token_dim", "model.num_layers", "model.num_heads"), "there is always an encoder"),
    "model.use_image": "is the model's own switch",
    "model.use_states": "is the model's own switch",
    **dict.fromkeys(("model.alignment", "model.attention_dim"), "decide what is trained"),
    **dict.fromkeys(("model.encoder_share", "model.decoder_share"), "decide how long each stage is"),
    **dict.fromkeys(("model.region_share", "model.similarity"), "regions are always looked at"),
    **dict.fromkeys(("model.regions", "model.region_size", "model.narrow_dim"), "regions are always sampled"),
    **dict.fromkeys(("model.objective", "model.location_weight"), "decide what is trained"),
    "model.beams": "label sets are always searched",
    **dict.fromkeys(("model.trees", "model.depth", "model.least_pictures", "model.components"), "the method is always fitted"),
    "model.input_share": "the method is always fitted",
    "model.learning_rate": "the method is always fitted",
    **dict.fromkeys(("model.chains", "model.values"), "the method is always fitted"),
    **dict.fromkeys(("model.method", "model.steps"), "decide whose activations move, and whether"),
    "model.variant": "decides what is trained",
    "model.anchor": "without image, the logits with nothing known are the anchor's",
    "model.orthogonal": "there is always an encoder",
    "model.separate_epochs": "stages differ in more than rates; without an anchor it is refused by the options",
    **dict.fromkeys(
        ("model.pooling", "model.kernel", "model.image_free", "model.weight_epochs", "model.weight_learning_rate"),
        "the method is always fitted",
    ),
    **dict.fromkeys(("model.word_vectors", "model.word_dim", "model.label_words"), "labels always have word vectors"),
    "model.neighbour_weight": "there are always graph convolutions",
    **dict.fromkeys(("model.attention_dim", "model.graph_steps", "model.gate"), "there is always a graph network"),
    "model.output_dim": "there is always a last layer",
    **dict.fromkeys(("model.wordnet", "model.state_dim"), "labels always have states and may have relations"),
    "model.solver": "decides how the method is fitted",
    "model.attention_weight": "there are always scores of places",
    "model.num_groups": "there are always queries",
    "model.cells": "there are always attention maps",
    "model.staged": "decides which stages there are",
    "model.hidden_dim": "there is always a hidden layer",
    **dict.fromkeys(("model.encoder_layers", "model.decoder_layers"), "there are always layers"),
    "model.self_attention": "is of the labels, of which there are some",
    **dict.fromkeys(("model.image_l2", "model.label_l2", "model.examples", "model.neighbours"), "the method is always fitted"),
    **dict.fromkeys(("evaluation.known_groups", "evaluation.presets"), TRAINED),
    **dict.fromkeys(("labels.extra", "labels.groups", "labels.implications"), "are checked against the source's labels"),
    **dict.fromkeys(("data.root", "data.skip_broken", "data.truncated", "data.white"), DATA),
    **dict.fromkeys(("data.absent", "data.uncertain", "data.delimiter", "data.several", "data.image_key"), DATA),
    **dict.fromkeys(("data.image_column", "data.split_column", "data.ignore_columns", "data.strip_prefix"), DATA),
    **dict.fromkeys(("data.images", "data.config", "data.choices", "data.names", "data.labels", "data.difficult"), DATA),
    **dict.fromkeys(("data.keep_empty", "data.crowd", "data.min_area", "data.split", "data.attributes"), DATA),
    **dict.fromkeys(
        ("data.splits", "data.labels_column", "data.negatives_column", "data.label_column", "data.labels_key"), DATA
    ),
    **dict.fromkeys(
        ("data.only", "data.people", "data.albums", "data.checkboxes", "data.shapes", "data.supercategories"), DATA
    ),
    **dict.fromkeys(("data.zero_score", "data.untagged", "data.hierarchy"), DATA),
    **dict.fromkeys(("loss.weight", "loss.hill", "loss.threshold", "loss.start"), "decide the loss of unknown labels"),
    **dict.fromkeys(("loss.share", "loss.frequent", "loss.rise"), "decide the loss of unknown labels"),
    **dict.fromkeys(("data.words", "data.vocabulary", "data.wordnet", "data.select_on", "data.test"), DATA),
    **dict.fromkeys(("data.train_captions", "data.val_captions", "data.train_images", "data.val_images"), DATA),
    **dict.fromkeys(("data.train", "data.drawn_share", "data.canvas", "data.seed", "data.objects"), "pictures are made"),
    **dict.fromkeys(("data.coupling", "data.scene_coupling", "data.scene_field", "data.triple"), "labels are drawn"),
}
"""Keys that have an effect beside any others, and why; or that other code refuses."""


def test_each_key_of_each_config_has_a_rule_or_a_reason_to_need_none():
    names = [("ctran", source, "bce") for source in registry.files(sources)]
    names += [(method, "csv", "bce") for method in registry.files(methods)]
    names += [("ctran", "csv", loss) for loss in registry.files(losses)]
    every = {key for chosen in names for key in hints_of(*chosen)}
    refused = {key for _, key, *_ in CASES}
    assert refused & ALWAYS.keys() == set()
    assert every == refused | ALWAYS.keys()


def test_one_error_names_all_keys_and_how_to_reset_them(capsys):
    flags = ["--training.momentum", "0.5", "--training.milestones", "[3]", "--model.num_latents", "8"]
    assert main(["train", "--method", "ctran", *flags]) == 1
    err = capsys.readouterr().err
    assert err.startswith("ctran train: ") and len(err.splitlines()) == 3
    assert "and this is adam; reset it: --training.momentum null" in err
    assert "reset it: --training.milestones '[]'" in err and "reset it: --model.num_latents 64" in err


def test_augmentation_without_views_is_reset_to_none(capsys):
    assert main(["train", "quick", "--root", "x", "--absent", "negative", "--training.feature_views", "1"]) == 1
    assert capsys.readouterr().err.endswith("reset it: --training.augmentation none\n")


def test_preparing_a_training_refuses_it_unless_it_is_resumed(folder):
    recipe = recipe_of("linear", folder, "--training.all_unknown", "0.5", "--training.hide_image", "0.1")
    with pytest.raises(UserError, match=r"training.all_unknown has no effect(.|\n)*training.hide_image has no effect"):
        prepare(recipe)
    assert prepare(recipe, resume=True).tagger.model.name == "linear"
    assert "--training.learning_rate" in TOY  # the toys set it, so a fitted method with their flags is refused
    with pytest.raises(UserError, match=r"training.learning_rate has no effect: method 'knn' is fitted in one step"):
        steps = ["--training.epochs", "0", "--training.feature_views", "1", "--training.backbone_learning_rate", "0"]
        prepare(recipe_of("knn", folder, *steps))


def test_what_a_model_to_start_from_replaces_is_a_notice(folder, tmp_path, capsys):
    flags = ["--training.prior_bias", "true"]
    prepare(recipe_of("linear", folder)).tagger.save(tmp_path / "first")
    capsys.readouterr()
    prepare(recipe_of("linear", folder, *flags, "--training.init_from", str(tmp_path / "first")))
    expected = "model.weights and training.prior_bias not used: all weights are those of training.init_from"
    assert expected in capsys.readouterr().err


def test_defaults_are_compared_with_those_of_the_recipe_s_own_method():
    recipe = read_recipe(None, ["--source", "planted_scenes", "--data.drawn_share", "0"])
    assert dataclasses.asdict(recipe.data)["canvas"] == 160 and list(unused(recipe)) == []


@pytest.mark.parametrize("name", ["pairwise", "knn", "linear", "csra", "ctran"])
def test_a_recipe_that_another_method_takes_over_has_no_key_without_effect_and_keeps_the_others(name):
    flags = [word for key, value in STEPS.items() if not key.startswith("loss.") for word in (f"--{key}", value)]
    views = ["--training.feature_views", "3", "--training.backbone_learning_rate", "0", "--training.augmentation", "flip"]
    recipe = read_recipe(None, ["--method", name, "--model.backbone", "test_resnet", *flags, *views])
    model = build(name, recipe.model, PLAIN)
    found = without_unused(recipe, model, PLAIN)
    assert list(unused(found, model, PLAIN)) == []
    assert (found.training.loss == "asl") == (found.training.clip_norm == 1) == model.needs_epochs
    assert found.training.feature_views == (1 if name == "knn" else 3) and found.evaluation == recipe.evaluation
