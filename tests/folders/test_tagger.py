import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import ctran
from ctran.errors import UserError
from ctran.folders.tagger import ModelFolderError, Prediction, Tagger
from ctran.images.transforms import BrokenImageError, Preprocessing, open_pixels
from ctran.inference.predictor import Predictor
from ctran.labels import Group, LabelSpace, UnknownLabelError
from ctran.model import Features, Method
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY


@pytest.fixture
def tagger(labels):
    return build_tagger(read_recipe(None, TOY), labels)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.effect_noise((40, 30), 90).convert("RGB").save(path)
    return path


def test_a_model_folder_gives_the_same_predictions(tagger, picture, tmp_path):
    tagger.save(tmp_path / "model")
    again = ctran.load(tmp_path / "model")
    known = {"flag": True, "cat": False}
    assert again.predict(picture, known) == tagger.predict(picture, known)
    assert again.labels == tagger.labels and again.preprocessing == tagger.preprocessing


@pytest.mark.parametrize("method", ["ctran", "linear"])
def test_every_method_is_saved_and_loaded(method, labels, picture, tmp_path):
    flags = ["--method", method, "--model.backbone", "test_resnet", "--model.weights", "none", "--model.image_size", "64"]
    tagger = build_tagger(read_recipe(None, flags), labels)
    tagger.save(tmp_path / "model")
    assert ctran.load(tmp_path / "model").predict(picture) == tagger.predict(picture)


def test_a_fast_copy_predicts_nearly_the_same_and_leaves_the_tagger_alone(tagger, picture):
    before = tagger.predict(picture, {"flag": True})
    quick = tagger.fast().predict(picture, {"flag": True})
    assert quick.known == before.known
    assert quick.probabilities == pytest.approx(before.probabilities, abs=0.03)
    assert tagger.predict(picture, {"flag": True}) == before


def test_what_is_known_changes_what_is_predicted(tagger, picture):
    before, after = tagger.predict(picture), tagger.predict(picture, {"flag": True})
    assert "flag" in before.probabilities and "flag" not in after.probabilities
    assert any(abs(before.probabilities[n] - p) > 1e-6 for n, p in after.probabilities.items())


def test_predictions_are_ranked_and_known_labels_count_as_present():
    space = LabelSpace(("d", "c", "b", "e", "a"))

    class Fixed(Method):
        def predict_labels(self, features, states, *, hide_image=None):
            return torch.tensor([[0.2, 0.5, 0.7, 0.5, 0.5]]).logit()

    predictor, features = Predictor(Fixed(), space, Preprocessing(64)), Features(torch.zeros(1, 1, 1), (1, 1))
    [prediction] = predictor.predictions(features, [{"a": True, "e": False}])
    assert prediction.probabilities == pytest.approx({"b": 0.7, "c": 0.5, "d": 0.2})
    assert prediction.labels == ["a", "b", "c"]
    assert list(prediction.top(2)) == ["b", "c"]


def test_path_bytes_and_picture_are_one(tagger, picture):
    with Image.open(picture) as opened:
        assert tagger.predict(picture) == tagger.predict(str(picture)) == tagger.predict(picture.read_bytes())
        assert tagger.predict(opened) == tagger.predict(picture)


def test_an_open_file_an_array_and_a_tensor_are_the_same_picture(tagger, picture):
    pixels = open_pixels(picture)
    expected = tagger.predict(picture)
    for source in (io.BytesIO(picture.read_bytes()), bytearray(picture.read_bytes()), pixels.numpy(), pixels):
        assert tagger.predict(source) == tagger.session(source).predict() == expected, type(source)
    with pytest.raises(BrokenImageError, match="is an address: download"):
        tagger.predict("https://example.org/cat.jpg")


def test_booleans_of_numpy_are_known_labels(tagger, picture):
    expected = tagger.predict(picture, {"map": True, "flag": False})
    rows = {"map": np.True_, "flag": np.bool_(False)}
    assert tagger.predict(picture, rows) == tagger.session(picture).predict(rows) == expected
    assert tagger.session(picture).tell(rows).known == {"map": True, "flag": False}
    assert expected.known == {"map": True, "flag": False}


def test_a_batch_is_the_pictures_one_by_one(tagger, picture):
    other = Image.new("RGB", (20, 20), "red")
    both = tagger.predict_all([picture, other], {"map": True})
    for one, alone in zip(both, [tagger.predict(p, {"map": True}) for p in (picture, other)], strict=True):
        assert one.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_a_wrong_label_or_picture_is_refused_by_name(tagger, picture, tmp_path):
    with pytest.raises(UnknownLabelError, match=r"'flagg'; did you mean 'flag'"):
        tagger.predict(picture, {"flagg": True})
    with pytest.raises(BrokenImageError, match=r"gone.png: no such file"):
        tagger.predict(tmp_path / "gone.png")


def test_extra_labels_can_be_known_but_are_not_predicted(picture):
    space = ctran.LabelSpace(("a", "b", "night"), extra=("night",))
    tagger = build_tagger(read_recipe(None, TOY), space)
    assert set(tagger.predict(picture, {"night": True}).probabilities) == {"a", "b"}
    assert set(tagger.predict(picture).probabilities) == {"a", "b"}


def test_a_folder_without_a_model_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(ModelFolderError, match=r"not a model or run folder: config.json or model/config.json not found"):
        ctran.load(tmp_path)


def change_config(folder, **entries):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))


def test_a_folder_of_another_format_is_refused(tagger, tmp_path):
    tagger.save(tmp_path / "model")
    change_config(tmp_path / "model", format=2)
    with pytest.raises(ModelFolderError, match=r"has format 2, this ctran .* reads 1; upgrade"):
        ctran.load(tmp_path / "model")


def test_weights_that_do_not_fit_are_refused(tagger, tmp_path):
    tagger.save(tmp_path / "model")
    save_file({"x": torch.zeros(1)}, tmp_path / "model" / "model.safetensors")
    with pytest.raises(ModelFolderError, match=r"model.safetensors is damaged, or not of this model"):
        ctran.load(tmp_path / "model")


def test_an_option_of_a_later_version_is_refused(tagger, tmp_path):
    tagger.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())["model"]
    change_config(tmp_path / "model", model=config | {"telepathy": True})
    with pytest.raises(ModelFolderError, match="no option 'telepathy'"):
        ctran.load(tmp_path / "model")


def test_a_failed_save_leaves_the_old_folder(tagger, tmp_path, monkeypatch):
    tagger.save(tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    monkeypatch.setattr("ctran.folders.tagger.save_file", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tagger.save(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    assert ctran.load(tmp_path / "model").labels == tagger.labels


def test_the_folder_that_is_pushed_is_the_folder_that_is_loaded(tagger, picture, tmp_path, monkeypatch):
    """The hub itself is out of reach: its client is replaced by a folder on disk."""
    import shutil

    import huggingface_hub

    class Hub:
        def create_repo(self, repository, **_):
            assert repository == "user/tags"

        def upload_folder(self, *, repo_id, folder_path):
            shutil.copytree(folder_path, tmp_path / "hub")
            return f"https://hub/{repo_id}/commit/1"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repository, **_: str(tmp_path / "hub"))
    assert tagger.push_to_hub("user/tags").endswith("/commit/1")
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "library_name: ctran" in card and "7 labels" in card
    assert ctran.Tagger.from_hub("user/tags").predict(picture) == tagger.predict(picture)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"garbage"),
        ("config.json", b"[]"),
        ("config.json", b"{"),
        ("config.json", b'{"format": 1}'),
        ("labels.json", b'{"names": ["a"]}'),
    ],
)
def test_a_damaged_folder_is_refused_with_the_files_name(tagger, tmp_path, name, content):
    tagger.save(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=name):
        ctran.load(tmp_path / "model")


def test_saving_deletes_nothing_of_the_users(tagger, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "holiday.txt").write_text("mine")
    with pytest.raises(ModelFolderError, match=r"'holiday.txt', which is not part of a model"):
        tagger.save(tmp_path / "precious")
    assert (tmp_path / "precious" / "holiday.txt").read_text() == "mine"


@pytest.fixture
def birds(tagger):
    """The same model; one of cat, dog and ship is in every picture."""
    labels = tagger.labels.extended([], [Group("kind", ("cat", "dog", "ship"), exclusive=True)])
    return Tagger(tagger.model, labels, tagger.config, tagger.preprocessing)


def test_of_an_exclusive_group_exactly_one_label_is_predicted(birds, picture):
    prediction = birds.predict(picture, threshold=0.99)
    kinds = {name: prediction.probabilities[name] for name in ("cat", "dog", "ship")}
    assert sum(kinds.values()) == pytest.approx(1)
    assert [n for n in prediction.labels if n in kinds] == [max(kinds, key=kinds.get)]


def test_known_labels_of_an_exclusive_group_settle_the_others(birds, picture):
    told = birds.predict(picture, {"dog": True})
    assert (told.probabilities["cat"], told.probabilities["ship"]) == (0, 0)
    assert [n for n in told.labels if n in ("cat", "dog", "ship")] == ["dog"]
    left = birds.predict(picture, {"dog": False, "cat": False})
    assert left.probabilities["ship"] == 1 and "ship" in left.labels


def test_contradictions_within_an_exclusive_group_are_refused(birds, picture):
    with pytest.raises(ValueError, match="'cat' and 'dog' cannot both be present"):
        birds.predict(picture, {"cat": True, "dog": True})


def test_groups_travel_with_the_model_folder(birds, picture, tmp_path):
    birds.save(tmp_path / "m")
    again = Tagger.load(tmp_path / "m")
    assert again.labels == birds.labels and again.predict(picture) == birds.predict(picture)


def test_what_a_tagger_is_can_be_read_at_the_prompt(tmp_path, labels):
    tagger = build_tagger(read_recipe(None, TOY), labels)
    assert repr(tagger) == "<Tagger: ctran on test_resnet, 7 labels, 64 x 64 pixels, not read from a folder>"
    tagger.save(tmp_path / "m")
    assert repr(Tagger.load(tmp_path / "m")).endswith(f"7 labels, 64 x 64 pixels, read from {tmp_path / 'm'}>")
    assert "7 labels" in repr(tagger.fast())


def files_of(tmp_path, count):
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20, 20), (20 * number, 255 - 20 * number, 90)).save(path)
    return paths


def test_many_pictures_are_predicted_in_batches_in_their_order_from_a_generator_too(tagger, tmp_path, monkeypatch):
    paths = files_of(tmp_path, 7)
    sizes, taken, encode = [], [], tagger.model.encode_images
    monkeypatch.setattr(tagger.model, "encode_images", lambda images: sizes.append((len(images), len(taken))) or encode(images))
    found = tagger.predict_all((taken.append(path) or path for path in paths), {"map": True}, batch_size=3)
    assert sizes == [(3, 3), (3, 6), (1, 7)]  # no more pictures are taken than a batch has
    for path, prediction in zip(paths, found, strict=True):
        assert prediction.probabilities == pytest.approx(tagger.predict(path, {"map": True}).probabilities, abs=1e-5)
    assert tagger.predict_all([]) == [] and tagger.predict_all(iter(()), errors="return") == []


@pytest.mark.parametrize("broken", [(0,), (1, 2), (0, 1, 2, 3, 4)])
def test_broken_pictures_are_returned_in_their_places_and_cost_no_other(tagger, tmp_path, broken):
    paths = files_of(tmp_path, 5)
    for number in broken:
        paths[number].write_bytes(b"no picture")
    found = tagger.predict_all(paths, batch_size=2, errors="return")
    assert [isinstance(each, BrokenImageError) for each in found] == [number in broken for number in range(5)]
    assert all(paths[number].name in str(found[number]) for number in broken)
    good = [each for each in found if isinstance(each, Prediction)]
    alone = [tagger.predict(path) for number, path in enumerate(paths) if number not in broken]
    assert [g.probabilities for g in good] == [pytest.approx(a.probabilities, abs=1e-5) for a in alone]
    with pytest.raises(BrokenImageError, match=paths[broken[0]].name):
        tagger.predict_all(paths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected a whole number from 1 on, got 0"),
        ({"threshold": 2.0}, "threshold: expected a probability from 0 to 1"),
        ({"known": {"mapp": True}}, "did you mean 'map'"),
    ],
)
def test_wrong_arguments_are_refused_before_a_picture_is_taken(tagger, options, message):
    with pytest.raises(ValueError, match=message):
        tagger.predict_many((1 / 0 for _ in "a"), **options)


def test_many_pictures_have_their_own_known_labels_and_come_as_anything_that_is_a_picture(tagger, tmp_path):
    path = files_of(tmp_path, 1)[0]
    with Image.open(path) as picture, path.open("rb") as file:
        given = [path, str(path), path.read_bytes(), file, picture.copy(), np.asarray(picture)]
        known = [None, {"map": True}, {"map": False}, {}, {"map": np.True_}, None]
        found = list(tagger.predict_many(given, known, batch_size=4))
    assert [each.known for each in found] == [{}, {"map": True}, {"map": False}, {}, {"map": True}, {}]
    for each in found:
        alone = tagger.predict(path, each.known)
        assert (each.labels, list(each.probabilities)) == (alone.labels, list(alone.probabilities))
        assert each.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_wrong_known_labels_of_a_picture_and_addresses_cost_no_other(tagger, tmp_path):
    paths = files_of(tmp_path, 4)
    known = [{"map": True}, {"mapp": True}, {"map": "yes"}, {}]
    found = list(tagger.predict_many([*paths[:3], "s3://bucket/a.png"], iter(known)))
    assert isinstance(found[0], Prediction)
    for each, message in zip(found[1:], ["did you mean 'map'", "must be True or False", "download the file"], strict=True):
        assert isinstance(each, UserError) and message in str(each)
    with pytest.raises(UserError, match="did you mean 'map'"):
        list(tagger.predict_many(paths, iter(known), errors="raise"))


@pytest.mark.parametrize(("known", "message"), [([{}], "got 1 for more"), ([{}] * 3, "got more than the 2")])
def test_there_is_one_mapping_of_known_labels_a_picture(tagger, tmp_path, known, message):
    with pytest.raises(UserError, match=message):
        list(tagger.predict_many(files_of(tmp_path, 2), known))


def test_many_pictures_are_taken_a_batch_at_a_time(tagger, tmp_path):
    taken = []
    paths = [*files_of(tmp_path, 6)]
    found = tagger.predict_many((taken.append(path) or path for path in paths), ({} for _ in paths), batch_size=2)
    for number, _ in enumerate(found):
        assert len(taken) == 2 * (number // 2) + 2


def test_only_present_labels_and_the_most_probable_are_named_on_request(tagger, images):
    features = tagger.encode_images((255 * images.sigmoid()).to(torch.uint8).permute(0, 2, 3, 1))
    known = [{}, {"map": True}, {"map": False}]
    rows, present = tagger.decided(features, known, threshold=0.5)
    for whole, *each in zip(tagger.predictions(features, known, threshold=0.5), rows, present, known, strict=True):
        some = tagger.named(*each, top=2)
        assert some.labels == whole.labels and some.known == whole.known
        wanted = {**whole.top(2), **{name: p for name, p in whole.probabilities.items() if name in whole.labels}}
        assert some.probabilities == wanted
