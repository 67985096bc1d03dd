"""What is exported answers as the model does, says what it is, and is refused when it is something else."""

import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import ctran
from ctran import registry
from ctran.export import formats
from ctran.export.card import OPEN
from ctran.export.graphs import programs
from ctran.export.parity import Parity, present
from ctran.export.pictures import Pictures, find_pictures
from ctran.export.write import ParityError, write
from ctran.inference import runtimes
from ctran.inference.exported import Exported
from ctran.inference.folder import ModelFolderError
from ctran.inference.runtimes import READERS, MissingRuntimeError, refuse_pickle
from ctran.labels import Group, LabelSpace
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY

pytestmark = pytest.mark.filterwarnings("ignore:::onnx.*", "ignore:::nncf.*", "ignore:::torch.*", "ignore:::copyreg")

MODELS = {
    "full": ["--model.num_layers", "2"],
    "image_first": ["--model.num_layers", "2", "--model.attention", "image_first"],
    "latent, all options": [
        *("--model.num_layers", "2", "--model.attention", "latent", "--model.num_latents", "3"),
        *("--model.anchored", "true", "--model.soft_states", "true"),
        *("--model.positive_bias", "5", "--model.image_bias", "-2"),
    ],
    "full, all options": [
        *("--model.anchored", "true", "--model.soft_states", "true", "--model.positions", "sine"),
        *("--model.positive_bias", "5", "--model.image_bias", "-2"),
    ],
    "no image": ["--model.use_image", "false", "--model.anchored", "true"],
    "no states": ["--model.use_states", "false"],
    "linear": ["--method", "linear"],
}
TOY_LINEAR = TOY[:8]
"""Those of the flags that every method has."""


def build(name, labels):
    """A model in which no weight is 0 or 1, as none is in a trained one."""
    flags = TOY_LINEAR if name == "linear" else TOY
    tagger = build_tagger(read_recipe(None, [*flags, *MODELS[name]]), labels)
    with torch.no_grad():
        for key, value in tagger.model.named_parameters():
            if not key.startswith("backbone"):
                value.add_(0.3 * torch.randn(value.shape))
    return tagger


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five pictures of noise."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(5):
        Image.effect_noise((40, 30 + number), 90).convert("RGB").save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def space():
    names = ("cat", "dog", "flag", "map", "ship", "star", "été")
    return LabelSpace(names, extra=("map",), groups=(Group("kind", ("cat", "dog", "ship"), exclusive=True),))


@pytest.fixture(scope="module")
def tagger(space):
    return build("full, all options", space)


def pictures_of(tagger, files):
    return Pictures(find_pictures([files]), tagger.preprocessing)


@pytest.fixture(scope="module")
def folders(tagger, files, tmp_path_factory):
    """One model in all formats."""
    root = tmp_path_factory.mktemp("exported")
    for form in READERS:
        write(tagger, root / form, form, pictures_of(tagger, files))
    return root


@pytest.mark.parametrize("name", MODELS)
def test_every_model_exports_for_any_number_of_pictures_and_questions(name, space, generator):
    tagger = build(name, space)
    made = programs(tagger)
    encode, predict = made.encode.module(check_guards=False), made.predict.module(check_guards=False)
    for pictures, rows in ((1, 1), (1, 4), (3, 1), (2, 3)):
        images = torch.randn(pictures, 3, 64, 64, generator=generator)
        states = torch.randint(0, 3, (pictures, rows, len(space)), generator=generator)
        with torch.inference_mode():
            exact = tagger.model.predict_labels(tagger.model.encode_images(images), states.flatten(0, 1))
            memory = encode(images)
            assert [len(tensor) for tensor in memory] == [pictures] * len(made.memory)
            torch.testing.assert_close(predict(states, *memory).flatten(0, 1), exact, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("num_labels", "kept"), [(7, True), (20_000, False)])
def test_a_graph_holds_what_depends_on_weights_alone_unless_the_file_grows_much(num_labels, kept):
    made = programs(build("image_first", LabelSpace(tuple(f"label {i}" for i in range(num_labels)))))
    assert any("table" in name for name in made.predict.constants) == kept


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("name", [n for n in MODELS if n != "full, all options"])  # that is the model of the other tests
def test_every_model_answers_the_same_in_every_runtime(name, form, space, files, tmp_path):
    tagger = build(name, space)
    assert write(tagger, tmp_path / "out", form, pictures_of(tagger, files)).logits < 1e-3


@pytest.mark.parametrize("form", READERS)
def test_an_exported_folder_predicts_what_the_model_predicts(form, tagger, folders, files):
    exported = ctran.load(folders / form)
    for known in ({}, {"flag": True, "dog": False}, {"map": True, "ship": True}):
        for path in sorted(files.iterdir())[:2]:
            ours, theirs = tagger.predict(path, known), exported.predict(path, known)
            assert list(ours.probabilities) == list(theirs.probabilities) and ours.exclusive == theirs.exclusive
            assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-4)
    both = exported.predict_all([files / "0.png", files / "1.png"], {"flag": True})
    alone = [exported.predict(files / f"{n}.png", {"flag": True}) for n in range(2)]
    for one, other in zip(both, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


@pytest.mark.parametrize("form", READERS)
def test_each_file_says_what_it_is(form, tagger, folders):
    ending, reader = READERS[form]
    for graph in ("encode", "predict"):
        about = json.loads(reader(folders / form / f"{graph}{ending}").metadata)
        assert about["graph"] == graph and about["format"] == 1 and about["method"] == "ctran"
        assert LabelSpace.from_dict(about["labels"]) == tagger.labels
        assert about["preprocessing"]["size"] == 64 and about["int8"] is None
        assert about["parity"]["pictures"] == 5 and about["parity"]["logits"] < 1e-3
    exported = Exported.load(folders / form)
    assert exported.labels == tagger.labels and exported.preprocessing == tagger.preprocessing


@pytest.mark.parametrize("form", READERS)
def test_the_arrays_answer_as_the_pictures_do(form, tagger, folders, files):
    exported = Exported.load(folders / form)
    images = pictures_of(tagger, files).batch([0, 1])
    states = np.zeros((2, 3, len(tagger.labels)), np.int64)
    states[:, 1, 2] = 2
    memory = exported.encode(images.numpy())
    found = exported.predict_labels(memory, states)
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


def test_a_format_is_a_file(folders):
    assert registry.names(formats) == sorted(READERS) == sorted(OPEN)
    for form in READERS:
        files = {path.name for path in (folders / form).iterdir()}
        module = registry.find(formats, form)
        assert files == {name.format(g) for name in module.FILES for g in ("encode", "predict")} | {"README.md"}


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
def test_int8_files_are_smaller_say_so_and_decide_nearly_the_same(form, space, files, tmp_path):
    tagger = build("linear", space)
    found = write(tagger, tmp_path / "out", form, pictures_of(tagger, files), int8=True, calibrate=4)
    exported = Exported.load(tmp_path / "out")
    assert exported.about.int8 == {"encode": 4, "predict": 4}
    weights = tmp_path / "out" / ("encode.bin" if form == "openvino" else "encode.onnx")
    assert weights.stat().st_size < 2 * sum(p.numel() for p in tagger.model.backbone.parameters())  # float32: 4
    assert 0 < found.logits < 1 and found.changed < 0.2


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_int8_of_the_encoder_answers_nearly_as_the_model(form, space, files, tmp_path):
    tagger = build("image_first", space)
    found = write(tagger, tmp_path / "out", form, pictures_of(tagger, files), int8=True, calibrate=4)
    assert 0 < found.logits < 2 and found.changed < 0.2


def test_int8_that_answers_no_numbers_is_not_kept(space, files, tmp_path, monkeypatch):
    monkeypatch.setattr("ctran.export.write.measure", lambda *_: Parity(5, float("inf"), 0.0))
    tagger = build("linear", space)
    with pytest.raises(ParityError, match="logits differ by at most inf"):
        write(tagger, tmp_path / "out", "openvino", pictures_of(tagger, files), int8=True, calibrate=4)
    assert not list(tmp_path.iterdir())


def test_of_an_exclusive_group_the_most_probable_label_counts_as_present(space):
    logits, states = torch.full((2, len(space)), -3.0), torch.zeros(2, len(space), dtype=torch.long)
    logits[1, space.index("dog")] = -2.9  # still below one half, of three
    chosen = present(logits, states, space)
    assert [[space.names[i] for i in row.nonzero()[:, 0]] for row in chosen] == [["cat"], ["dog"]]


@pytest.mark.parametrize("form", READERS)
def test_several_threads_may_ask_at_once(form, folders, files):
    exported = ctran.load(folders / form)
    paths = sorted(files.iterdir()) * 4
    alone = [exported.predict(path).probabilities for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: exported.predict(path).probabilities, paths))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-6)


def test_int8_is_refused_for_torch(tagger, files, tmp_path):
    with pytest.raises(ValueError, match="int8 is made for onnx and openvino; torch stays in float32"):
        write(tagger, tmp_path / "out", "torch", pictures_of(tagger, files), int8=True)
    assert not list(tmp_path.iterdir())


def test_an_export_that_answers_otherwise_is_not_kept(tagger, files, tmp_path, monkeypatch):
    monkeypatch.setattr("ctran.export.write.SAME", 0.0)
    with pytest.raises(ParityError, match=r"does not answer as the model does \(5 pictures, 3 states each: logits differ"):
        write(tagger, tmp_path / "out", "torch", pictures_of(tagger, files))
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_refused_before_any_work(tagger, files, tmp_path):
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(ModelFolderError, match=r"'holiday.txt', which is no part of a model"):
        write(tagger, tmp_path, "openvino", pictures_of(tagger, files))
    with pytest.raises(ModelFolderError, match=r"holiday.txt is a file"):
        write(tagger, tmp_path / "holiday.txt", "openvino", pictures_of(tagger, files))


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of one exported folder, to be spoiled."""

    def make(form):
        target = tmp_path / form
        target.mkdir()
        for path in (folders / form).iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        return target

    return make


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("graph", ["encode", "predict"])
def test_a_damaged_file_is_refused_by_name(form, graph, copy):
    folder, ending = copy(form), READERS[form][0]
    (folder / f"{graph}{ending}").write_bytes(b"garbage")
    with pytest.raises(ModelFolderError, match=rf"{graph}{ending} is damaged"):
        ctran.load(folder)


@pytest.mark.parametrize("form", READERS)
def test_half_a_folder_or_a_renamed_file_is_refused(form, copy):
    folder, ending = copy(form), READERS[form][0]
    encode, predict = folder / f"encode{ending}", folder / f"predict{ending}"
    if form != "openvino":
        predict.write_bytes(encode.read_bytes())
        with pytest.raises(ModelFolderError, match=rf"predict{ending} holds the graph 'encode'; was the file renamed"):
            ctran.load(folder)
    predict.unlink()
    with pytest.raises(ModelFolderError, match=rf"predict{ending} not found"):
        ctran.load(folder)


def test_a_foreign_or_newer_graph_is_refused(copy):
    import onnx

    folder = copy("onnx")
    model = onnx.load(folder / "encode.onnx")
    onnx.helper.set_model_props(model, {"ctran": json.dumps({"format": 2})})
    onnx.save(model, folder / "encode.onnx")
    with pytest.raises(ModelFolderError, match=r"has format 2, this ctran .* reads 1; upgrade"):
        ctran.load(folder)
    onnx.helper.set_model_props(model, {})
    onnx.save(model, folder / "encode.onnx")
    with pytest.raises(ModelFolderError, match=r"encode.onnx was not made by ctran export"):
        ctran.load(folder)


def test_halves_of_two_models_are_refused(copy):
    import onnx

    folder = copy("onnx")
    model = onnx.load(folder / "predict.onnx")
    about = json.loads(model.metadata_props[0].value)
    about["parity"]["logits"] *= 2  # as another model's would be
    onnx.helper.set_model_props(model, {"ctran": json.dumps(about)})
    onnx.save(model, folder / "predict.onnx")
    with pytest.raises(ModelFolderError, match="encode and predict are not of one export"):
        ctran.load(folder)


def test_a_folder_without_graphs_is_no_exported_folder(tmp_path):
    with pytest.raises(ModelFolderError, match=r"none of encode.onnx, encode.xml, encode.pt2 found"):
        Exported.load(tmp_path)


@pytest.mark.parametrize(("form", "library"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_runtime_is_named_with_what_to_install(form, library, folders, monkeypatch):
    def gone(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(runtimes, "import_module", gone)
    with pytest.raises(MissingRuntimeError, match=rf'{library} is not installed.* pip install "ctran\[{form}\]"'):
        ctran.load(folders / form)

    def broken(name):
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(runtimes, "import_module", broken)
    with pytest.raises(MissingRuntimeError, match=rf"{library} does not load, which this needs \(libgomp.so.1: cannot open"):
        ctran.load(folders / form)


def test_torch_programs_hold_no_pickle_and_pickle_is_not_loaded(folders, copy):
    refuse_pickle(folders / "torch" / "encode.pt2")
    folder = copy("torch")
    path = folder / "encode.pt2"
    with zipfile.ZipFile(path) as archive:
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    top = next(iter(content)).partition("/")[0]
    config = f"{top}/data/weights/model_weights_config.json"
    spoiled = content[config].replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    sample, custom = f"{top}/data/sample_inputs/model.pt", f"{top}/data/constants/custom_obj_0"
    for name, data in ((sample, b"cos\n"), (config, spoiled), (custom, b"cos\n")):
        with zipfile.ZipFile(path, "w") as archive:
            for other, plain in (content | {name: data}).items():
                archive.writestr(other, plain)
        with pytest.raises(ModelFolderError, match=rf"holds pickled objects \({name.partition('/')[2]}\)"):
            ctran.load(folder)


def test_pictures_are_found_in_folders_and_their_absence_is_refused(files, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "notes.pdf").write_text("Pillow writes such files, but does not read them")
    assert [p.name for p in find_pictures([files, files / "0.png"])] == [*(f"{n}.png" for n in range(5)), "0.png"]
    with pytest.raises(ValueError, match="--pictures: no picture in"):
        find_pictures([tmp_path])
    with pytest.raises(ValueError, match=r"--pictures: .*gone not found"):
        find_pictures([tmp_path / "gone"])


def test_some_pictures_are_spread_over_all(files, tagger):
    pictures = pictures_of(tagger, files)
    assert pictures.some(3) == [0, 2, 4] and pictures.some(9) == [0, 1, 2, 3, 4] and pictures.some(1) == [0]
