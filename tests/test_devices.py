"""Every path puts model, states and images on one device: tried on one that behaves as a GPU does (:mod:`tests.far`)."""

import copy

import numpy as np
import pytest
import torch

import ctran
from ctran import devices
from ctran.analysis.calibrate import predict_shares
from ctran.analysis.influence import influence
from ctran.analysis.suspects import suspects
from ctran.data.loading import Batch, PictureSet
from ctran.devices import find_device
from ctran.errors import UserError
from ctran.evaluation.evaluate import predict, report
from ctran.export.parity import likely_states
from ctran.labels import Group, LabelSpace
from ctran.masking import EvalSetting
from ctran.plots.embeddings import label_embeddings
from ctran.plots.examples import make_examples
from ctran.serving.batching import BatchedPredictor
from ctran.training.evaluation import evaluate_run
from ctran.training.options import Evaluation, Training
from ctran.training.pipeline import build_tables, build_tagger, training_device
from ctran.training.recipe import read_recipe
from ctran.training.stored_features import cached_features, on_device
from tests.conftest import TOY, draw_folder, stirred
from tests.far import FAR, FarTensor, far_device, watched
from tests.networks import SMALLEST

KINDS = {
    "anchored": [
        *("--method", "anchored", "--model.num_layers", "2"),
        *("--model.soft_states", "true", "--model.positive_bias", "2"),
    ],
    "latent": ["--model.attention", "latent", "--model.num_latents", "3", "--model.positions", "sine"],
    "linear": None,
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = draw_folder(tmp_path_factory.mktemp("devices") / "pictures")
    flags = ["--source", "imagefolder", "--root", str(root), "--absent", "negative"]
    recipe = read_recipe(None, [*TOY, *flags, "--labels.extra", "[green]"])
    found = build_tables(recipe)
    rows = list(range(len(found["test"])))[:4]
    return {"all": found["test"].select(rows), "recipe": recipe}


@pytest.fixture(autouse=True)
def far_settings(monkeypatch):
    """What PyTorch needs for tensors with values behind them: no inference mode (it is ``no_grad`` and a little more), and new
    parameters where a module changes its precision."""
    mode = torch.inference_mode
    monkeypatch.setattr(mode, "__enter__", lambda self: setattr(self, "before", torch.no_grad()) or self.before.__enter__())
    monkeypatch.setattr(mode, "__exit__", lambda self, *error: self.before.__exit__(*error))
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(False)


@pytest.fixture(params=KINDS)
def taggers(request, tables):
    """One model on the CPU, and the same on the other device."""
    labels = tables["all"].labels
    if request.param == "linear":
        flags = ["--method", "linear", *SMALLEST, "--model.weights", "none", "--model.image_size", "64"]
    else:
        flags = [*TOY, *SMALLEST, *KINDS[request.param]]
    near = stirred(build_tagger(read_recipe(None, flags), labels))
    far = copy.deepcopy(near)
    with far_device():
        far.to(FAR)
        yield near, far


def test_evaluation_and_calibration_and_plots(taggers, tables):
    near, far = taggers
    options = Evaluation(known_share=(0.0, 0.5), presets=("ctran",))
    with watched(far.model) as seen:
        one, other = (evaluate_run(t, tables["all"], options) for t in (near, far))
        examples = make_examples(far, tables["all"], [0, 2], EvalSetting(0.5, reveal="confident"))
        truth, found = predict_shares(far, tables["all"], [0.0, 0.5], 0, "test")
    assert one.markdown() == other.markdown()
    assert seen == {FAR}
    for tensor in (examples[0].given, truth, found[1].logits):
        assert tensor.device.type == "cpu"


def near_to(prediction):
    """Its probabilities; kernels of two devices round differently."""
    return pytest.approx(prediction.probabilities, abs=1e-5)


def test_prediction_sessions_influence_and_suspects(taggers, tables, generator):
    near, far = taggers
    picture, one, (name, other) = tables["all"].picture(0), tables["all"].select([0]), far.labels.names[:2]
    with watched(far.model) as seen:
        assert far.predict_all([picture] * 2)[1].probabilities == near_to(near.predict(picture))
        session, reference = (t.session(picture).tell({name: True}) for t in (far, near))
        assert session.predict().probabilities == near_to(reference.predict())
        assert session.what_if(other, True).keys() == reference.what_if(other, True).keys()
        assert session.ask(2)[0].score == pytest.approx(reference.ask(2)[0].score, abs=1e-4)
        assert session.sample(2, generator=generator, at_once=2)
        assert session.most_likely().labels == reference.most_likely().labels
        assert session.log_likelihood([name], orders=1, generator=generator) <= 0
        if far.shows_attention:
            assert session.attention(name) == pytest.approx(reference.attention(name), abs=1e-5)
            assert session.label_attention().shape[1] == len(far.labels)
        assert torch.allclose(influence(far, one, [0]), influence(near, one, [0]), atol=1e-4)
        assert [s.label for s in suspects(far, one)] == [s.label for s in suspects(near, one)]
        features = far.encode_images(far.square(picture)[None])
        assert likely_states(far, features, seed=0).device.type == "cpu"
    assert seen == {FAR}
    if near.config["method"] == "ctran":
        assert torch.equal(label_embeddings(far), label_embeddings(near))


def test_a_model_folder_is_the_same_wherever_the_model_was(taggers, tmp_path):
    near, far = taggers
    far.save(tmp_path / "model")
    again = ctran.load(tmp_path / "model", device="cpu")
    assert all(torch.equal(v, again.model.state_dict()[k]) for k, v in near.model.state_dict().items())


def test_exclusive_groups_and_implications_follow_the_device(generator):
    labels = LabelSpace(
        ("red", "green", "blue", "warm"),
        groups=(Group("hue", ("green", "blue"), exclusive=True),),
        implications=(("red", "warm"),),
    )
    near = stirred(build_tagger(read_recipe(None, TOY), labels))
    far, squares = copy.deepcopy(near), torch.randint(256, (4, 64, 64, 3), dtype=torch.uint8, generator=generator)
    truth = torch.tensor([[2, 2, 1, 2], [1, 1, 2, 1], [1, 2, 1, 2], [2, 1, 2, 2]])
    states = truth * torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]])
    found = []
    with far_device():
        for tagger in (near, far.to(FAR)):
            features = tagger.encode_images(squares)
            marginals = tagger.marginals(features, states)
            batch = Batch(squares, truth, torch.arange(4), tagger.preprocessing).to(tagger.device)
            at, predict_shares = predict(tagger.model, [batch], list("abcd"), labels, [EvalSetting(), EvalSetting(0.5)])
            found.append((marginals, report(at, predict_shares, labels).markdown()))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5) and found[0][1] == found[1][1]


class BatchedFar(BatchedPredictor):
    """Its thread knows of the device too, as threads know of a GPU."""

    def _work(self):
        with far_device():
            super()._work()


def test_the_server_puts_calls_together_on_the_device(taggers, tables):
    near, far = taggers
    squares = torch.stack([far.square(tables["all"].picture(i)) for i in range(3)])
    predictor = BatchedFar(far)
    try:
        features = predictor.encode_images(squares)
        states = torch.zeros(3, len(far.labels), dtype=torch.long)
        found = predictor.marginals(features, states)
        session = predictor.session_of(squares[0])
        assert session.predict().probabilities == near_to(near.session_of(squares[0]).predict())
    finally:
        predictor.close()
    assert isinstance(features.tokens, FarTensor) and found.device.type == "cpu"
    assert torch.allclose(found, near.marginals(near.encode_images(squares), states), atol=1e-5)


def test_the_fast_copy_stays_on_the_device(tables):
    far = build_tagger(read_recipe(None, [*TOY, *SMALLEST, *KINDS["anchored"]]), tables["all"].labels)
    with far_device():
        quick = far.to(FAR).fast()
        with watched(quick.model) as seen:
            assert quick.predict(tables["all"].picture(0)).probabilities
    assert seen == {FAR} and quick.device == FAR


def test_image_tokens_are_made_on_the_device_and_the_backbone_goes_back(tables, monkeypatch, tmp_path):
    monkeypatch.setenv("CTRAN_CACHE", str(tmp_path / "cache"))  # nothing that another test stored, in bfloat16
    tagger = build_tagger(read_recipe(None, TOY), tables["all"].labels)
    data = PictureSet(tables["all"], tagger.labels, tagger.preprocessing)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: torch.no_grad())  # PyTorch has none for this device
    seen = set()
    forward = tagger.model.backbone.network.forward_features

    def watch(images):
        seen.update({images.device, *(p.device for p in tagger.model.backbone.parameters())})
        return forward(images)

    monkeypatch.setattr(tagger.model.backbone.network, "forward_features", watch)
    with far_device():
        far = cached_features(tagger.model, data, 1, "train", {}, FAR)
    assert seen == {FAR}
    assert {p.device.type for p in tagger.model.parameters()} == {"cpu"}
    near = cached_features(tagger.model, data, 1, "train", {}, torch.device("cpu"))
    assert near.folder != far.folder  # equal but for rounding, which depends on where in memory the tensors lie
    assert np.allclose(near.arrays["tokens"], far.arrays["tokens"], rtol=1e-2, atol=1e-3)


def test_the_backbone_goes_back_after_an_error_too(tables):
    tagger = build_tagger(read_recipe(None, TOY), tables["all"].labels)
    with far_device(), pytest.raises(ZeroDivisionError), on_device(tagger.model.backbone, FAR):
        _ = 1 / 0
    assert {p.device.type for p in tagger.model.parameters()} == {"cpu"}


def test_a_forgotten_move_fails_here_as_on_a_gpu(tables):
    tagger = build_tagger(read_recipe(None, TOY), tables["all"].labels)
    with far_device():
        tagger.to(FAR)
        with pytest.raises(RuntimeError, match="same device"):
            tagger.model.encode_images(torch.zeros(1, 3, 64, 64))
        features = tagger.encode_images(tagger.square(tables["all"].picture(0))[None])
        with pytest.raises(RuntimeError, match="same device"):
            tagger.model.predict_labels(features, torch.zeros(1, len(tagger.labels), dtype=torch.long))
        with pytest.raises(RuntimeError, match="numpy"):
            features.tokens.numpy()


# ------------------------------------------------------------------ names


@pytest.fixture
def two_gpus(monkeypatch):
    """What PyTorch reports on a machine with two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_takes_a_gpu_where_there_is_one(two_gpus, monkeypatch):
    assert [str(find_device(name)) for name in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda:0", "cuda:0", "cuda:1", "cpu"]
    assert find_device(torch.device("cuda:1")) == torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert [str(find_device(name)) for name in ("auto", "mps", "cpu")] == ["mps", "mps", "cpu"]


@pytest.mark.parametrize("name", ["cuda:2", "mps", "gpu", "cuda:-1", "cuda:x", "", "CUDA", "tpu"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(two_gpus, name):
    with pytest.raises(UserError, match=r"this machine has cpu, cuda:0, cuda:1$") as error:
        find_device(name)
    assert repr(name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("accelerator", "rank", "expected"), [("auto", 1, "cuda:1"), ("gpu", 0, "cuda:0"), ("cpu", 1, "cpu")])
def test_each_process_of_a_training_has_its_own_gpu(two_gpus, accelerator, rank, expected):
    assert training_device(Training(accelerator=accelerator), rank) == torch.device(expected)


def test_a_training_on_an_accelerator_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="this machine has cpu"):
        training_device(Training(accelerator="cuda"))


def test_the_best_model_is_tested_on_the_device_of_the_training(monkeypatch, tables, tmp_path):
    monkeypatch.setattr(devices, "devices", lambda: ["cpu", "meta"])
    tagger = build_tagger(read_recipe(None, TOY), tables["all"].labels)
    tagger.save(tmp_path / "model")
    with far_device():
        for folder in (tmp_path, tmp_path / "model"):
            assert ctran.load(folder).device == FAR  # auto
            assert ctran.load(folder, device="cpu").device.type == "cpu"
            assert ctran.load(folder, device="meta").device == FAR
