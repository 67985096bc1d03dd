"""What is exported answers as the model does, and says what it is."""

import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ctran import methods, registry
from ctran.export import formats
from ctran.export.card import OPEN
from ctran.export.formats import FIRST
from ctran.export.graphs import programs
from ctran.export.parity import Parity
from ctran.export.write import ParityError, write
from ctran.folders.exported import Exported
from ctran.folders.runtimes import READERS
from ctran.labels import LabelSpace
from tests.export.models import MODELS, build, pictures_of

pytestmark = pytest.mark.filterwarnings("ignore:::onnx.*", "ignore:::nncf.*", "ignore:::torch.*", "ignore:::copyreg")


@pytest.mark.parametrize("name", [n for n in MODELS if n not in registry.names(methods) and n != "full"])
def test_every_variant_exports_for_any_number_of_pictures_and_questions(name, traced, space, generator):
    """Methods as they are by default: :mod:`tests.methods.test_contract`."""
    tagger, made = traced(name)
    encode, predict = made.encode.module(check_guards=False), made.predict.module(check_guards=False)
    for pictures, rows in ((1, 1), (1, 4), (3, 1), (2, 3)):
        images = torch.randn(pictures, 3, 64, 64, generator=generator)
        states = torch.randint(0, 3, (pictures, rows, len(space)), generator=generator)
        with torch.inference_mode():
            exact = tagger.model.predict_labels(tagger.model.encode_images(images), states.flatten(0, 1))
            image_cache = encode(images)
            assert [len(tensor) for tensor in image_cache] == [pictures] * len(made.image_cache)
            torch.testing.assert_close(predict(states, *image_cache).flatten(0, 1), exact, atol=1e-4, rtol=1e-4)


def test_a_graph_holds_what_depends_on_weights_alone_unless_the_file_grows_much(traced):
    many = LabelSpace(tuple(f"label {i}" for i in range(20_000)))
    for made, kept in (
        (traced("image_first")[1], True),
        (programs(build("image_first", many, "--model.num_layers", "1")), False),
    ):
        assert any("table" in name for name in made.predict.constants) == kept


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("name", [n for n in MODELS if n != "full, all options"])  # that is the model of the other tests
def test_every_model_predicts_the_same_in_every_runtime(name, form, space, files, tmp_path):
    tagger = build(name, space)
    assert write(tagger, tmp_path / "out", form, pictures_of(tagger, files)).logits < 1e-3


@pytest.mark.parametrize("form", READERS)
def test_an_exported_folder_predicts_what_the_model_predicts(form, tagger, exported, files):
    exported = exported(form)
    for known in ({}, {"flag": True, "dog": False}, {"map": True, "ship": True}):
        for path in sorted(files.iterdir())[:2]:
            ours, theirs = tagger.predict(path, known), exported.predict(path, known)
            assert list(ours.probabilities) == list(theirs.probabilities) and ours.labels == theirs.labels
            assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-4)
    both = exported.predict_all([files / "0.png", files / "1.png"], {"flag": True})
    alone = [exported.predict(files / f"{n}.png", {"flag": True}) for n in range(2)]
    for one, other in zip(both, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


@pytest.mark.parametrize("form", READERS)
def test_each_file_describes_itself(form, tagger, folders, exported):
    ending, reader = READERS[form]
    for graph in ("encode", "predict"):
        about = json.loads(reader(folders / form / f"{graph}{ending}").metadata)
        assert about["graph"] == graph and about["format"] == 2 and about["method"] == tagger.config["method"]
        assert LabelSpace.from_dict(about["labels"]) == tagger.labels
        assert about["preprocessing"]["size"] == 64 and about["int8"] is None
        assert about["parity"]["pictures"] == 5 and about["parity"]["logits"] < 1e-3
    exported = exported(form)
    assert exported.labels == tagger.labels and exported.preprocessing == tagger.preprocessing


@pytest.mark.parametrize("form", READERS)
def test_arrays_give_the_same_logits_as_pictures(form, tagger, exported, files):
    exported = exported(form)
    images = pictures_of(tagger, files).batch([0, 1])
    states = np.zeros((2, 3, len(tagger.labels)), np.int64)
    states[:, 1, 2] = 2
    image_cache = exported.encode(images.numpy())
    found = exported.predict_labels(image_cache, states)
    with torch.inference_mode():
        features = tagger.model.encode_images(images)
        exact = tagger.model.predict_labels(features, torch.from_numpy(states).flatten(0, 1))
    assert found.shape == (2, 3, 7) and np.abs(found.reshape(6, 7) - exact.numpy()).max() < 1e-3


@pytest.mark.parametrize("form", READERS)
def test_the_readme_works_without_this_library(form, folders, monkeypatch, capsys):
    text = (folders / form / "README.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "ctran" not in code.replace('"ctran"', "") and len(code.strip().splitlines()) <= 18
    monkeypatch.chdir(folders / form)
    exec(code, {})
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_no_library_starts_a_process_to_report_its_use(traced):
    made, started = traced("linear")[1], []
    sys.addaudithook(lambda event, _: started.append(event) if event in ("os.fork", "subprocess.Popen") else None)
    registry.find(formats, "openvino").convert(made.encode, *made.ports("encode"))
    assert not started


def test_a_format_is_a_file(folders):
    assert registry.names(formats) == sorted(READERS) == sorted(OPEN)
    for form in READERS:
        files = {path.name for path in (folders / form).iterdir()}
        module = registry.find(formats, form)
        assert files == {name.format(g) for name in module.FILES for g in ("encode", "predict")} | {
            "README.md",
            "checksums.json",
        }


def test_onnx_axes_have_names_and_neither_half_carries_the_weights_of_the_other(folders, tagger):
    import onnx

    graph = onnx.load(folders / "onnx" / "predict.onnx").graph
    axes = [axis.dim_param or axis.dim_value for axis in graph.output[0].type.tensor_type.shape.dim]
    assert [port.name for port in graph.output] == ["logits"] and axes == ["B", "S", 7]
    backbone = sum(p.numel() for p in tagger.model.backbone.parameters())
    assert sum(np.prod(w.dims) for w in graph.initializer) < backbone / 10
    with zipfile.ZipFile(folders / "torch" / "predict.pt2") as archive:
        assert sum(entry.file_size for entry in archive.infolist() if "/weights/weight_" in entry.filename) < 4 * backbone / 10


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_int8_files_are_smaller_are_marked_and_decide_nearly_the_same(form, traced, files, tmp_path):
    tagger, made = traced("linear", "--model.backbone", "test_resnet")  # of which most layers are int8
    found = write(tagger, tmp_path / "out", form, pictures_of(tagger, files), int8=True, calibrate=4, traced=made)
    exported = Exported.load(tmp_path / "out")
    assert exported.about.int8 == {"encode": 4, "predict": 4}
    weights = tmp_path / "out" / ("encode.bin" if form == "openvino" else "encode.onnx")
    assert weights.stat().st_size < 2 * sum(p.numel() for p in tagger.model.backbone.parameters())  # float32: 4
    assert 0 < found.logits < 1 and found.changed < 0.2


def convolutions(form, graph):
    """Of each in the order in which they run: whether it is by channel, whether it computes in int8."""
    if form == "onnx":
        made = {name: node for node in graph.graph.node for name in node.output}
        for node in (n for n in graph.graph.node if n.op_type == "Conv"):
            by_channel = next((a.i for a in node.attribute if a.name == "group"), 1) > 1
            yield by_channel, all(name in made and made[name].op_type == "DequantizeLinear" for name in node.input[:2])
        return
    for operation in graph.get_ordered_ops():
        if (kind := operation.get_type_name()) in ("Convolution", "GroupConvolution"):
            sources = [port.get_node().get_type_name() for port in operation.input_values()]
            yield kind == "GroupConvolution", "FakeQuantize" in sources


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_the_first_convolutions_and_those_by_channel_stay_in_float32(form, traced, files):
    module, (tagger, made) = registry.find(formats, form), traced("linear", "--model.backbone", "test_efficientnet")
    samples = [{"images": pictures_of(tagger, files).batch([number]).numpy()} for number in range(4)]
    graph = module.quantise(module.convert(made.encode, *made.ports("encode")), samples)
    found = list(convolutions(form, graph))
    assert [int8 for _, int8 in found[:FIRST]] == [False] * FIRST
    assert {by_channel for by_channel, _ in found[FIRST:]} == {True, False}
    assert all(int8 != by_channel for by_channel, int8 in found[FIRST:])


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_int8_of_the_encoder_predicts_nearly_as_the_model(form, traced, files, tmp_path):
    tagger, made = traced("image_first")
    found = write(tagger, tmp_path / "out", form, pictures_of(tagger, files), int8=True, calibrate=4, traced=made)
    assert 0 < found.logits < 2 and found.changed < 0.2


def test_int8_with_logits_that_are_not_finite_is_not_kept(traced, files, tmp_path, monkeypatch):
    monkeypatch.setattr("ctran.export.write.measure", lambda *_: Parity(5, float("inf"), 0.0))
    tagger, made = traced("linear")
    with pytest.raises(ParityError, match="logits differ by at most inf"):
        write(tagger, tmp_path / "out", "openvino", pictures_of(tagger, files), int8=True, calibrate=1, traced=made)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", READERS)
def test_several_threads_may_ask_at_once(form, exported, files):
    exported = exported(form)
    paths = sorted(files.iterdir()) * 4
    alone = [exported.predict(path).probabilities for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: exported.predict(path).probabilities, paths))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-6)
