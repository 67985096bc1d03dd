"""What is not an export, or not all of one, is refused by name."""

import json
import zipfile
from inspect import unwrap

import numpy as np
import pytest
import torch

import ctran
from ctran.export.pictures import find_pictures
from ctran.export.write import ParityError, write
from ctran.folders import runtimes
from ctran.folders.exported import CHECKSUMS, Exported, digests
from ctran.folders.model_folder import ModelFolderError
from ctran.folders.runtimes import READERS, MissingRuntimeError, refuse_pickle
from ctran.folders.tagger import Tagger
from tests.export.models import build, pictures_of

pytestmark = pytest.mark.filterwarnings("ignore:::onnx.*", "ignore:::nncf.*", "ignore:::torch.*", "ignore:::copyreg")


def test_int8_is_refused_for_torch(tagger, files, tmp_path):
    with pytest.raises(ValueError, match="int8 is made for onnx and openvino; torch stays in float32"):
        write(tagger, tmp_path / "out", "torch", pictures_of(tagger, files), int8=True)
    assert not list(tmp_path.iterdir())


def test_an_export_with_other_logits_is_not_kept(space, files, tmp_path, monkeypatch):
    tagger = build("linear", space)
    monkeypatch.setattr("ctran.export.write.SAME", 0.0)
    with pytest.raises(ParityError, match=r"differ from those of the model \(5 pictures, 3 states each: logits differ"):
        write(tagger, tmp_path / "out", "torch", pictures_of(tagger, files))
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_refused_before_any_work(tagger, files, tmp_path):
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(ModelFolderError, match=r"'holiday.txt', which is not part of a model"):
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


def as_first_format(text):
    """A description as it was when the image cache was called memory."""
    about = json.loads(text)
    return json.dumps(about | {"memory": about.pop("image_cache"), "format": 1})


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_folder_of_the_first_format_is_still_read(copy, exported, files, form):
    import onnx

    folder = copy(form)
    for part in ("encode", "predict"):
        path = folder / f"{part}{READERS[form][0]}"
        if form == "onnx":
            model = onnx.load(path)
            (about,) = (entry.value for entry in model.metadata_props if entry.key == "ctran")
            onnx.helper.set_model_props(model, {"ctran": as_first_format(about)})
            onnx.save(model, path)
            continue
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, as_first_format(content) if name.endswith("/extra/ctran") else content)
    names = json.loads((folder / CHECKSUMS).read_text())
    (folder / CHECKSUMS).write_text(json.dumps(digests(folder, names)))
    old, picture = ctran.load(folder), min(files.iterdir())
    assert old.about.format == 1 and old.about.image_cache == exported(form).about.image_cache
    assert old.predict(picture).probabilities == exported(form).predict(picture).probabilities


def test_a_foreign_or_newer_graph_is_refused(copy):
    import onnx

    folder = copy("onnx")
    model = onnx.load(folder / "encode.onnx")
    onnx.helper.set_model_props(model, {"ctran": json.dumps({"format": 3})})
    onnx.save(model, folder / "encode.onnx")
    with pytest.raises(ModelFolderError, match=r"has format 3, this ctran .* reads 1 to 2; upgrade"):
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


def test_weights_that_were_changed_or_are_another_export_s_are_refused(copy):
    folder = copy("openvino")
    weights = bytearray((folder / "encode.bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "encode.bin").write_bytes(weights)
    with pytest.raises(ModelFolderError, match=r"encode.bin is not the file that was exported: damaged, or of another export"):
        ctran.load(folder)
    folder = copy("torch")
    (folder / "checksums.json").unlink()
    with pytest.raises(ModelFolderError, match=r"checksums.json not found: .* copy the whole folder"):
        ctran.load(folder)
    (folder / "checksums.json").write_text("[")
    with pytest.raises(ModelFolderError, match=r"checksums.json is damaged"):
        ctran.load(folder)


def test_several_exports_in_one_folder_are_refused(copy, folders):
    folder = copy("openvino")
    (folder / "encode.onnx").write_bytes((folders / "onnx" / "encode.onnx").read_bytes())
    with pytest.raises(ModelFolderError, match="graphs of onnx and openvino; keep each export in a separate folder"):
        ctran.load(folder)


def test_an_exported_folder_where_a_model_is_wanted_is_called_what_it_is(folders):
    with pytest.raises(ModelFolderError, match=r"is an exported folder: name the run, or the model folder"):
        Tagger.load(folders / "onnx")


@pytest.mark.parametrize("form", READERS)
def test_what_is_not_a_state_is_refused_whatever_the_runtime_would_do_with_it(form, exported, tagger, files):
    exported = exported(form)
    features = exported.model.encode_images(pictures_of(tagger, files).batch([0]))
    rows = torch.zeros(2, 7, dtype=torch.long)
    for wrong, message in (
        (rows - 1, "expected 0, 1 and 2, got -1 to -1"),
        (rows + 3, "expected 0, 1 and 2, got 3 to 3"),
        (rows[:, :6], r"expected 7 labels in the last of several axes, got shape \(2, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            exported.model.predict_labels(features, wrong)
    narrow = exported.model.predict_labels(features, rows.to(torch.int8))
    torch.testing.assert_close(narrow, exported.model.predict_labels(features, rows))
    image_cache = exported.encode(pictures_of(tagger, files).batch([0]).numpy())
    for wrong in (np.zeros((1, 2, 7), np.float32), np.zeros((1, 2, 7), bool)):
        with pytest.raises(ValueError, match=r"expected whole numbers .*, got (float32|bool)"):
            unwrap(Exported.predict_labels)(exported, image_cache, wrong)
    with pytest.raises(ValueError, match="got shape"):
        unwrap(Exported.predict_labels)(exported, image_cache, np.zeros((7,), np.int64))
    with pytest.raises(ValueError, match="expected finite numbers"):
        exported.encode(np.full((1, 3, 64, 64), np.nan, np.float32))


def test_a_folder_without_graphs_is_not_an_exported_folder(tmp_path):
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
