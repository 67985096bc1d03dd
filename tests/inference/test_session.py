"""A session about one picture."""

import io
import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from ctran.analysis.influence import influence
from ctran.analysis.suspects import left_out, suspects
from ctran.constraints.calibration import Calibration
from ctran.data.file_table import FEATURES
from ctran.data.table import SampleTable
from ctran.images.reading import BrokenImageError, as_image
from ctran.inference.heatmap import enlargement
from ctran.labels import Group, LabelSpace, LabelState, UnknownLabelError
from ctran.model import Features
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, stirred

SPACE = LabelSpace(
    ("cat", "dog", "flag", "map", "ship", "star", "animal"),
    extra=("star",),
    groups=(Group("kind", ("cat", "dog", "ship"), exclusive=True),),
    implications=(("cat", "animal"), ("dog", "animal")),
)


def build(*flags):
    return stirred(build_tagger(read_recipe(None, [*TOY, *flags]), SPACE))


@pytest.fixture
def tagger():
    return build("--model.num_layers", "2")


@pytest.fixture
def picture():
    return Image.effect_noise((40, 30), 90).convert("RGB")


@pytest.fixture
def session(tagger, picture):
    return tagger.session(picture)


def test_the_backbone_runs_once_whatever_is_asked(tagger, picture, generator):
    seen = []
    tagger.model.backbone.register_forward_hook(lambda *_: seen.append(1))
    session = tagger.session(picture)
    session.tell({"flag": True}).what_if("map", True)
    session.ask()
    session.sample(2, generator=generator)
    session.most_likely()
    session.log_likelihood(["flag", "ship"], generator=generator)
    session.attention("flag")
    session.given({"map": False}).predict()
    assert len(seen) == 1


def test_a_session_predicts_what_the_tagger_predicts(tagger, picture, session):
    for known in ({}, {"flag": True}, {"flag": True, "cat": False}, {"dog": True}):
        assert session.predict(known) == tagger.predict(picture, known)
    assert session.known == {}
    assert session.tell({"flag": True}).predict() == tagger.predict(picture, {"flag": True})
    assert session.predict({"map": False}) == tagger.predict(picture, {"flag": True, "map": False})


def test_known_labels_are_set_removed_and_undone(session):
    session.tell({"flag": True, "map": False}).tell({"map": True}).forget("flag")
    assert session.known == {"map": True}
    assert session.undo().known == {"flag": True, "map": True}
    assert session.undo().known == {"flag": True, "map": False}
    assert session.undo().known == session.undo().known == {}
    session.tell({"flag": True}).forget()
    assert session.known == {} and session.undo().known == {"flag": True}


def test_setting_a_known_label_again_is_not_a_step_to_undo(session):
    session.tell({"flag": True}).tell({"flag": True}).forget("map")
    assert session.undo().known == {}


def test_another_label_of_an_exclusive_group_replaces_the_first(session):
    session.tell({"cat": True}).tell({"dog": True})
    assert session.known == {"dog": True}
    assert session.undo().known == {"cat": True}


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"flg": True}, "did you mean 'flag'"),
        ({"cat": True, "dog": True}, "cannot both be present"),
        ({"cat": True, "animal": False}, "'cat' implies 'animal'"),
        ({"cat": False, "dog": False, "ship": False}, "but all are given as absent"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(session, known, message):
    session.tell({"map": True})
    with pytest.raises((UnknownLabelError, ValueError), match=message):
        session.tell(known)
    assert session.known == {"map": True}


def test_what_is_known_spreads_along_implications_and_groups(session):
    said = session.predict({"cat": True})
    assert said.probabilities["animal"] == 1 and said.probabilities["dog"] == said.probabilities["ship"] == 0
    assert "animal" in said.labels and "dog" not in said.labels
    said = session.predict({"animal": False})
    assert said.probabilities["cat"] == said.probabilities["dog"] == 0
    assert said.probabilities["ship"] == pytest.approx(1)


def test_no_child_is_more_probable_than_its_parent(tagger, session, generator):
    states = torch.randint(0, 2, (50, 7), generator=generator) * torch.tensor([0, 0, 2, 1, 0, 1, 0])
    found = session.marginals(states)
    for child, parent in (("cat", "animal"), ("dog", "animal")):
        assert (found[:, SPACE.index(child)] <= found[:, SPACE.index(parent)]).all()
    torch.testing.assert_close(found[:, [0, 1, 4]].sum(dim=1), torch.ones(50))


def test_a_session_goes_to_json_and_back(tagger, picture, session):
    session.tell({"flag": True}).tell({"map": False})
    content = json.loads(json.dumps(session.as_dict()))
    again = tagger.session(picture, resume=content)
    assert again.known == session.known and again.predict() == session.predict()
    assert again.undo().known == {"flag": True}
    assert again.as_dict() != content


def test_a_session_of_another_picture_or_model_is_refused(tagger, picture, session):
    content = session.as_dict()
    with pytest.raises(ValueError, match="about another picture"):
        tagger.session(Image.new("RGB", (40, 30)), resume=content)
    with pytest.raises(ValueError, match="about another labels"):
        tagger.session(picture, resume=content | {"labels": "x"})
    with pytest.raises(ValueError, match="format 9"):
        tagger.session(picture, resume=content | {"format": 9})
    with pytest.raises(UnknownLabelError):
        tagger.session(picture, resume=content | {"known": {"nothing": True}})
    with pytest.raises(BrokenImageError):
        tagger.session(b"no picture")


def test_what_if_is_the_difference_of_two_predictions(session):
    session.tell({"map": True})
    changes = session.what_if("flag", present=True)
    before, after = session.predict().probabilities, session.predict({"flag": True}).probabilities
    assert set(changes) == set(after)
    for name, change in changes.items():
        assert change.before == pytest.approx(before[name], abs=1e-6)
        assert change.after == pytest.approx(after[name], abs=1e-6)
    moved = [abs(c.difference) for c in changes.values()]
    assert moved == sorted(moved, reverse=True) and moved[0] > 0
    assert session.known == {"map": True}


def test_attention_adds_up_and_is_where_the_model_has_it(tagger, session):
    session.tell({"map": True})
    maps, between = session.attention("flag"), session.label_attention()
    assert maps.shape == (2, 2, 2) and between.shape == (2, 7, 7)
    total = maps.sum(axis=(1, 2)) + between[:, SPACE.index("flag")].sum(axis=1)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    with pytest.raises(UnknownLabelError):
        session.attention("flg")


def test_contributions_sum_to_the_log_odds_less_those_of_no_picture(picture):
    """At the size of the prediction itself, given what is known, after calibration, in a loaded and in a fast model."""
    tagger = build("--model.num_layers", "2")
    tagger.calibration = Calibration((0.0, 1.0), (1.5, 3.0), {}, "")
    session = tagger.session(picture).tell({"map": True, "dog": False})
    states = session.states
    for name in ("flag", "animal"):
        label = SPACE.index(name)
        found = session.contributions(name)
        with torch.no_grad():
            blank = tagger.model.predict_labels(session.features, states[None], hide_image=torch.ones(1, dtype=torch.bool))[
                0, label
            ]
            logit = tagger.model.predict_labels(session.features, states[None])[0, label]
        temperature = tagger.calibration.temperature_of(states[None])[0]
        assert float(found.sum()) == pytest.approx(float((logit - blank) / temperature), abs=1e-4)
        rounded = tagger.fast().session(picture).tell({"map": True, "dog": False})
        np.testing.assert_allclose(rounded.heatmap(name), session.heatmap(name), atol=0.15 * np.abs(found).max())


def test_a_heat_map_is_of_what_is_known_beside_the_label(session):
    plain = session.heatmap("flag")
    assert session.tell({"flag": True}).heatmap("flag") == pytest.approx(plain)  # what is explained is not known
    told = session.tell({"map": True}).heatmap("flag")
    assert np.abs(told - plain).max() > 1e-3 and session.known == {"flag": True, "map": True}
    implied = session.forget().tell({"cat": True}).heatmap("animal")  # certain by implication; still explained
    assert np.isfinite(implied).all() and np.abs(implied).max() > 0


def test_a_coarse_heat_map_is_of_the_picture_at_twice_the_size(tagger, tmp_path):
    torch.manual_seed(5)
    large = torch.randint(0, 256, (128, 128, 3), dtype=torch.uint8)
    path = tmp_path / "a.png"
    as_image(large).save(path)
    nothing = torch.zeros(len(SPACE), dtype=torch.long)
    expected = tagger.heatmap(large, nothing, 2, window=(2, 2)).numpy()
    features = tagger.encode_images(large[None])
    whole = tagger.heatmap(large, nothing, 2).numpy()
    for y, x in ((0, 0), (0, 3), (3, 0)):  # in a corner there is one window alone
        rows, columns = slice(0, 2) if y < 2 else slice(2, 4), slice(0, 2) if x < 2 else slice(2, 4)
        part = features.tokens.reshape(4, 4, -1)[rows, columns].reshape(1, 4, -1)
        with torch.inference_mode():
            weight = tagger.model.predict_labels(Features(part, (2, 2)), nothing[None])[0, 2].sigmoid()
        assert expected[y, x] == pytest.approx(whole[y, x] * float(weight), abs=1e-5)
    sources = {"path": path, "text": str(path), "bytes": path.read_bytes(), "picture": as_image(large), "array": large.numpy()}
    for name, source in sources.items():
        session = tagger.session(source)
        found = session.given({}).heatmap("flag")
        assert found.shape == (4, 4) and session.features.grid == (2, 2)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)
    with path.open("rb") as file, Image.open(path) as lazy:
        closed = [tagger.session(file), tagger.session(lazy)]
    for session in closed:
        np.testing.assert_allclose(session.heatmap("flag"), expected, atol=1e-5)
    session = tagger.session(path)
    assert tagger.session_of(session.square).heatmap("flag").shape == (4, 4)  # without the picture's detail
    as_image(255 - large).save(path)
    with pytest.raises(ValueError, match="has changed since it was opened"):
        session.heatmap("flag")
    path.unlink()
    with pytest.raises(BrokenImageError, match="no such file"):
        session.heatmap("flag")


@pytest.mark.parametrize("fit", ["pad", "squash", "crop", "cut"])
def test_a_heat_map_covers_what_the_model_takes_in(fit):
    """A picture of one patch: enlarged, the patch lies at the same place of the square, however the picture was fitted."""
    tagger = build("--model.fit", fit)
    pixels = torch.full((100, 150, 3), 255, dtype=torch.uint8)
    pixels[40:60, 60:90] = 0
    session = tagger.session(as_image(pixels))
    small, large = ((side.float().mean(dim=2) < 128).float() for side in (session.square, session._enlarged()))
    assert large.shape == (128, 128)
    centres = [
        torch.stack([m.sum(dim=d) @ torch.arange(len(m)).float() for d in (1, 0)]) / m.sum() / len(m) for m in (small, large)
    ]
    torch.testing.assert_close(*centres, atol=0.02, rtol=0)
    assert float(large.mean()) == pytest.approx(float(small.mean()), rel=0.25)


def test_backbones_of_one_size_and_fine_grids_are_not_enlarged(tagger, picture):
    assert enlargement(tagger.model, (11, 20)) == 2 and enlargement(tagger.model, (12, 12)) == 1
    session = build("--model.backbone", "test_vit", "--model.image_size", "160").session(picture)
    assert session.heatmap("flag").shape == session.features.grid == (10, 10)


@pytest.mark.parametrize(("method", "flags"), [("ctran", ["--model.use_image", "false"]), ("linear", [])])
def test_what_has_no_heat_map_refuses_it(method, flags, picture):
    toy = TOY if method == "ctran" else TOY[:8]
    tagger = stirred(build_tagger(read_recipe(None, [*toy, "--method", method, *flags]), SPACE))
    session = tagger.session(picture)
    assert tagger.shows_heatmap == (method == "linear") and not tagger.shows_attention
    with pytest.raises(ValueError, match="'star' is an extra label" if method == "linear" else "no heat map"):
        session.heatmap("star")
    with pytest.raises(UnknownLabelError):
        session.heatmap("flg")
    if method == "linear":
        assert session.heatmap("flag") == pytest.approx(session.tell({"map": True}).heatmap("flag"))


@pytest.mark.parametrize("flags", [["--model.use_image", "false"], []])
def test_models_without_attention_say_so(flags, picture):
    linear = ["--method", "linear"] if not flags else []
    toy = TOY[:8] if linear else TOY
    session = build_tagger(read_recipe(None, [*toy, *linear, *flags]), SPACE).session(picture)
    with pytest.raises(TypeError, match="no attention to the picture"):
        session.attention("flag")


def test_sets_are_complete_and_consistent(session, generator):
    session.tell({"map": True})
    drawn = session.sample(20, generator=generator)
    for found in (*drawn, session.most_likely()):
        kinds = {"cat", "dog", "ship"} & set(found.labels)
        assert len(kinds) == 1 and "map" in found.labels
        assert "animal" in found.labels or kinds == {"ship"}
        assert found.log_likelihood < 0
    assert session.sample(3, generator=torch.Generator().manual_seed(1)) == session.sample(
        3, generator=torch.Generator().manual_seed(1)
    )


def test_likelihoods_of_all_sets_sum_to_one(picture):
    """Of one order; the mean over orders of the logarithm is below the logarithm of the mean."""
    session = build().session(picture)
    total = 0.0
    for number in range(2**3):
        rest = [n for i, n in enumerate(("flag", "map", "star")) if number >> i & 1]
        for kind in (["cat", "animal"], ["dog", "animal"], ["ship", "animal"], ["ship"]):
            generator = torch.Generator().manual_seed(5)
            total += np.exp(session.log_likelihood([*kind, *rest], orders=1, generator=generator))
    assert total == pytest.approx(1, abs=1e-3)


def test_a_label_is_left_out_with_its_rivals():
    truth = torch.tensor([2, 1, 2, 1, 1, 0, 2])
    rows = left_out(truth, [0, 2], [[0, 1, 4]])
    assert rows.tolist() == [[0, 0, 2, 1, 0, 0, 2], [2, 1, 0, 1, 1, 0, 2]]


def test_what_a_label_implies_is_left_out_with_it():
    implied = torch.tensor([[0, 1], [2, 1]])  # poodle and beagle are dogs
    poodle = left_out(torch.tensor([2, 2, 0, 1]), [0, 1], [], implied)
    assert poodle.tolist() == [[0, 0, 0, 1], [2, 0, 0, 1]]  # the dog that is there only as a poodle does not speak for it
    nothing = left_out(torch.tensor([1, 1, 1, 2]), [1, 3], [], implied)
    assert nothing.tolist() == [[0, 0, 0, 2], [1, 1, 1, 0]]


def table_of(truth):
    """Two grey pictures with these codes."""
    pictures = []
    for number in range(len(truth)):
        file = io.BytesIO()
        Image.new("RGB", (40, 30), (100 * number,) * 3).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": None})
    columns = {
        "image": pictures,
        "id": ["one", "two"],
        "positives": [[i for i, code in enumerate(row) if code == 2] for row in truth],
        "negatives": [[i for i, code in enumerate(row) if code == 1] for row in truth],
    }
    return SampleTable(Dataset.from_dict(columns, features=FEATURES), SPACE, LabelState.UNKNOWN)


def test_annotations_are_ranked_by_surprise(tagger):
    table = table_of([[1, 1, 2, 1, 2, 0, 1], [1, 1, 0, 2, 2, 1, 1]])
    found = suspects(tagger, table)
    assert [s.surprise for s in found] == sorted((s.surprise for s in found), reverse=True)
    asked = {(s.id, s.label) for s in found}
    assert ("one", "flag") in asked and ("two", "flag") not in asked and ("one", "star") not in asked  # unknown; extra
    flag = next(s for s in found if (s.id, s.label) == ("one", "flag"))
    known = {"cat": False, "dog": False, "map": False, "ship": True, "animal": False}
    picture = table.picture(0)
    assert flag.annotated and flag.probability == pytest.approx(tagger.predict(picture, known).probabilities["flag"], abs=1e-5)
    assert flag.surprise == pytest.approx(-np.log(flag.probability), abs=1e-4)
    assert suspects(tagger, table, most=2) == found[:2]
    assert suspects(tagger, table, workers=1) == found


def test_influence_is_the_mean_of_what_ifs(tagger):
    table = table_of([[1, 1, 2, 1, 2, 0, 1]] * 2)
    matrix = influence(tagger, table, [0, 1])
    odds = []
    for number in (0, 1):
        session = tagger.session(table.picture(number))
        p = [session.predict({"map": said}).probabilities["flag"] for said in (True, False)]
        odds.append(np.log(p[0] / (1 - p[0])) - np.log(p[1] / (1 - p[1])))
    assert float(matrix[SPACE.index("map"), SPACE.index("flag")]) == pytest.approx(np.mean(odds), abs=1e-4)
    assert (matrix.diagonal() == 0).all()


@pytest.mark.parametrize("known", [{}, {"cat": True}, {"dog": False}, {"cat": False, "dog": False}, {"animal": False}])
def test_attention_is_computed_with_the_states_of_the_prediction(known, picture, monkeypatch):
    session, seen = build().session(picture), []
    model = session.predictor.model
    for name in ("attention", "predict_labels"):
        inner = getattr(model, name)
        monkeypatch.setattr(model, name, lambda features, states, inner=inner: seen.append(states) or inner(features, states))
    session.tell(known).predict()
    session.attention("flag")
    assert len(seen) == 2 and torch.equal(*seen)
