"""Settings x metrics: what is told, what is counted, draws, published presets, exclusive groups."""

import dataclasses

import numpy as np
import pytest
import torch

from ctran.analysis.calibrate import entries
from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder
from ctran.constraints.exclusive import probabilities
from ctran.data.loading import Batch
from ctran.evaluation import measured
from ctran.evaluation.evaluate import Entries, SettingLogits, ask, predict, report
from ctran.evaluation.report import COLUMNS
from ctran.images.transforms import Preprocessing
from ctran.inference.predictor import Predictor
from ctran.labels import Group, LabelSpace, LabelState
from ctran.masking import EvalSetting
from ctran.metrics import PRESETS, measure, store
from tests.metrics.test_definitions import ctran_by_hand

NAMES = ("cat", "dog", "flag", "map", "ship", "star", "tree")
PLAIN = LabelSpace(NAMES)
GROUPED = LabelSpace(
    NAMES,
    extra=("flag", "map", "ship"),
    groups=(Group("kind", ("cat", "dog", "star"), exclusive=True), Group("a", ("flag", "map")), Group("b", ("ship",))),
)


@pytest.fixture
def batches(images, generator):
    """Three batches of three pictures; in each exactly one of cat, dog and star."""
    truth = torch.randint(1, 3, (9, 7), generator=generator)
    truth[:, [0, 1, 5]] = LabelState.NEGATIVE
    truth[torch.arange(9), torch.tensor([0, 1, 5] * 3)] = LabelState.POSITIVE
    rows = torch.arange(9).split(3)
    return [Batch(images + n, truth[r], r) for n, r in enumerate(rows)]


IDS = [f"picture {i}" for i in range(9)]


def test_the_backbone_runs_once_a_picture_whatever_is_asked(model, batches, monkeypatch):
    seen = []
    encode = model.encode_images
    monkeypatch.setattr(model, "encode_images", lambda images: seen.append(len(images)) or encode(images))
    settings = [EvalSetting(), EvalSetting(0.5), EvalSetting(0.5, reveal="confident")]
    _, answers = predict(model, batches, IDS, PLAIN, settings, draws=3)
    assert seen == [3, 3, 3] and len(answers) == 1 + 3 + 1


def test_predictions_are_those_of_the_model_given_the_same_known_labels(model, batches):
    truth, (answer,) = predict(model, batches, IDS, PLAIN, [EvalSetting(0.5)])
    with torch.no_grad():
        expected = torch.cat([model(b.inputs, s.long()) for b, s in zip(batches, answer.states.split(3), strict=True)])
    assert torch.equal(answer.logits, expected)
    told = answer.states != LabelState.UNKNOWN
    assert (told.sum(1) == 3).all() and (answer.states[told] == truth[told]).all()


def test_what_follows_from_known_labels_is_known_too_and_does_not_count(model, batches, images):
    space = LabelSpace(NAMES, implications=(("cat", "flag"), ("star", "map")))
    for batch in batches:
        batch.truth[:, 2] = torch.where(batch.truth[:, 0] == LabelState.POSITIVE, LabelState.POSITIVE, batch.truth[:, 2])
        batch.truth[:, 3] = torch.where(batch.truth[:, 5] == LabelState.POSITIVE, LabelState.POSITIVE, batch.truth[:, 3])
    truth, (answer,) = predict(model, batches, IDS, space, [EvalSetting(0.5)])
    followed = 0
    for child, parent in ((0, 2), (5, 3)):
        told = answer.states[:, child] == LabelState.POSITIVE
        assert (answer.states[told, parent] == LabelState.POSITIVE).all()
        followed += int(told.sum())
    assert followed and (answer.states[answer.states > 0] == truth[answer.states > 0]).all()
    found = Entries.of(truth, answer, space)
    assert (found.hidden == (answer.states == 0).numpy()).all()
    both = found.hidden[:, 0] & found.hidden[:, 2]
    assert both.any() and (found.probabilities[both, 2] >= found.probabilities[both, 0]).all()
    preprocessing = Preprocessing(64)
    predictor = Predictor(model, space, preprocessing)
    with torch.no_grad():
        features = model.encode_images(batches[0].inputs)
    said = predictor.marginals(features, answer.states[:3].long()).numpy()
    assert said[found.hidden[:3]] == pytest.approx(found.probabilities[:3][found.hidden[:3]], abs=1e-6)


def test_what_follows_from_a_group_is_not_a_prediction_and_does_not_count(batches, generator):
    truth = torch.cat([b.truth for b in batches])
    states = torch.zeros_like(truth)
    states[:5, 0] = truth[:5, 0]  # of pictures 0 and 3 the cat is given, which settles dog and star
    states[8, [0, 1]] = truth[8, [0, 1]]  # neither of the two, so it is the star
    logits = torch.randn(9, 7, generator=generator)
    found = Entries.of(truth, SettingLogits(EvalSetting(), states, logits), GROUPED)
    expected = (states == 0).numpy() & GROUPED.targets.numpy()
    expected[[0, 0, 3, 3, 8], [1, 5, 1, 5, 5]] = False
    assert (found.hidden == expected).all() and found.known[:, GROUPED.targets.numpy()].all()
    p, _, counts = entries(truth, SettingLogits(EvalSetting(), states, logits), Decoder(GROUPED))
    assert (counts == expected).all() and (p[[0, 0, 3, 8], [1, 5, 1, 5]] == [0, 0, 0, 1]).all()


def test_a_known_share_raises_no_figure_of_a_model_that_knows_nothing(generator):
    """Equal logits rank by chance; rivals of a known label would be sure to be right."""
    labels = LabelSpace(tuple("abcd"), groups=(Group("one", tuple("abcd"), exclusive=True),))
    truth = torch.ones(400, 4, dtype=torch.long).scatter(1, torch.randint(4, (400, 1), generator=generator), 2)
    states = torch.where(torch.rand(400, 4, generator=generator) < 0.25, truth, 0)
    answers = [SettingLogits(EvalSetting(share), s, torch.zeros(400, 4)) for share, s in ((0.0, 0 * truth), (0.25, states))]
    nothing, quarter = report(truth, answers, labels).settings
    left = 1 / (4 - (states == 1).sum(1)[~(states == 2).any(1)]).double()  # one of those that are still possible
    assert nothing.hidden.mAP == pytest.approx(25, abs=2) and quarter.hidden.mAP < 100 * float(left.mean()) + 12


@pytest.mark.parametrize("preset", ["ctran", "mlgcn", "voc"])
def test_published_presets_know_no_groups_and_no_implications(preset, generator):
    names = tuple(f"class {i}" for i in range(20))
    groups = (Group("class", names, exclusive=True),)
    grouped = LabelSpace((*names, "wing"), groups=groups, implications=(("class 0", "wing"),))
    truth = torch.ones(60, 21, dtype=torch.long)
    truth[torch.arange(60), torch.arange(60) % 20] = LabelState.POSITIVE
    truth[:, 20] = truth[:, 0]
    states = torch.where(torch.rand(60, 21, generator=generator) < 0.2, truth, 0)
    logits = 3 * torch.randn(60, 21, generator=generator) - 2
    for shown in (states, torch.zeros_like(truth)):
        answer = SettingLogits(EvalSetting(), shown, logits)
        with_groups, plain = (
            report(truth, [answer], space, presets=[preset]).settings[0].published[preset].as_dict()
            for space in (grouped, LabelSpace(grouped.names))
        )
        assert with_groups == pytest.approx(plain, nan_ok=True)
        if preset == "ctran":
            p, positive, hidden = logits.double().sigmoid().numpy(), (truth == 2).numpy(), (shown == 0).numpy()
            expected = ctran_by_hand(p, positive, hidden)
            assert {n: plain[n] / 100 for n in expected} == pytest.approx(expected, nan_ok=True)


def test_the_output_for_a_known_label_reaches_no_other():
    space = LabelSpace(("poodle", "dog"), implications=(("poodle", "dog"),))
    logits, states = torch.tensor([[3.0, -3.0]]), torch.tensor([[int(LabelState.NEGATIVE), 0]])
    found = Entries.of(torch.tensor([[1, 1]]), SettingLogits(EvalSetting(), states, logits), space)
    assert found.probabilities[0, 1] == pytest.approx(torch.tensor(-3.0).sigmoid().item())
    p, _, _ = entries(
        torch.tensor([[1, 1]]), SettingLogits(EvalSetting(), states, logits), Decoder(space, Calibration(temperatures=(2.0,)))
    )
    assert p[0, 1] == pytest.approx(torch.tensor(-1.5).sigmoid().item())


def test_order_and_batches_do_not_matter(model, batches):
    _, (one,) = predict(model, batches, IDS, PLAIN, [EvalSetting(0.5)])
    _, (other,) = predict(model, batches[::-1], IDS, PLAIN, [EvalSetting(0.5)])
    assert torch.allclose(torch.cat(other.logits.split(3)[::-1]), one.logits, atol=1e-6)


def test_the_most_confident_labels_are_those_of_the_prediction_without_known_labels(model, batches):
    batch = batches[0]
    with torch.no_grad():
        features = model.encode_images(batch.inputs)
        regular, told = ask(
            model, features, batch.truth, IDS[:3], PLAIN, [EvalSetting(), EvalSetting(0.99, reveal="confident")]
        )
    positive = batch.truth == LabelState.POSITIVE
    for row in range(3):
        left = positive[row] & (told.states[row] == LabelState.UNKNOWN)
        shown = told.states[row] == LabelState.POSITIVE
        assert left.sum() == 1 and (told.states[row] != LabelState.NEGATIVE).all()
        assert not shown.any() or regular.logits[row][left].max() <= regular.logits[row][shown].min()


def test_extra_labels_are_known_and_targets_are_measured(model, batches):
    truth, answers = predict(model, batches, IDS, GROUPED, [EvalSetting(groups=n) for n in (0, 1, 2)])
    found = report(truth, answers, GROUPED)
    assert [str(s.setting) for s in found.settings] == ["0 groups", "1 groups", "2 groups"]
    assert [s.num_known for s in found.settings][::2] == [0, 3] and 1 <= found.settings[1].num_known <= 2
    assert set(found.settings[0].labels) == {"cat", "dog", "star", "tree"}
    counted = sum(n for _, n in found.settings[2].labels.values())
    assert counted == int((truth[:, GROUPED.targets] == LabelState.POSITIVE).sum())


def test_draws_give_mean_and_spread(model, batches):
    truth, answers = predict(model, batches, IDS, GROUPED, [EvalSetting(0.0), EvalSetting(0.5)], draws=5, seed=3)
    (nothing, half) = report(truth, answers, GROUPED).settings
    singles = [report(truth, [a], GROUPED).settings[0] for a in answers[1:]]
    maps = [s.hidden.mAP for s in singles]
    assert (nothing.draws, half.draws) == (1, 5) and not nothing.spread
    assert half.hidden.mAP == pytest.approx(np.nanmean(maps))
    assert half.spread["mAP"] == pytest.approx(np.nanstd(maps, ddof=1))
    assert len({tuple(a.states.flatten().tolist()) for a in answers[1:]}) == 5 and half.spread["mAP"] > 0
    accuracies = [s.accuracy["kind"] for s in singles]  # NaN where a draw tells a label of the group in every picture
    assert half.accuracy["kind"] == pytest.approx(
        np.nanmean(accuracies) if not np.isnan(accuracies).all() else np.nan, nan_ok=True
    )


def test_accuracy_of_a_group_is_the_share_of_right_argmaxes(batches):
    truth = torch.cat([b.truth for b in batches])
    logits = torch.randn(9, 7, generator=torch.Generator().manual_seed(4))
    found = report(truth, [SettingLogits(EvalSetting(), torch.zeros_like(truth), logits)], GROUPED)
    members = [0, 1, 5]
    right = logits[:, members].argmax(1) == (truth[:, members] == LabelState.POSITIVE).long().argmax(1)
    assert found.settings[0].accuracy == {"kind": pytest.approx(100 * float(right.double().mean()))}
    assert not found.multi_class and "| accuracy (%) | kind |" in found.markdown()
    named = dataclasses.replace(found, split="val").markdown()
    assert f"In percent, on the {found.pictures} pictures of val." in named and "pictures of" not in found.markdown()


def test_a_multi_class_task_is_scored_by_its_accuracy(batches):
    labels = LabelSpace(NAMES, extra=("flag", "map", "ship", "tree"), groups=GROUPED.groups[:1])
    truth = torch.cat([b.truth for b in batches])
    perfect = torch.where(truth == LabelState.POSITIVE, 1.0, -1.0)
    found = report(truth, [SettingLogits(EvalSetting(), torch.zeros_like(truth), perfect)], labels)
    assert found.multi_class and found.score == 100


@pytest.mark.parametrize("preset", ["ctran", "mlgcn", "voc"])
def test_published_presets_are_counted_beside_our_own(batches, preset, generator):
    truth = torch.cat([b.truth for b in batches])
    states = torch.where(torch.rand(9, 7, generator=generator) < 0.4, truth, 0)
    logits = torch.randn(9, 7, generator=generator)
    found = report(truth, [SettingLogits(EvalSetting(0.4), states, logits)], PLAIN, presets=[preset])
    p, positive = probabilities(logits.double(), states, ()).numpy(), (truth == LabelState.POSITIVE).numpy()
    hidden, known = (states == 0).numpy(), np.ones((9, 7), dtype=bool)
    expected = measure(p, positive, hidden, definition=PRESETS[preset], everything=known)
    assert found.settings[0].published[preset].as_dict() == pytest.approx(expected.as_dict(), nan_ok=True)
    assert f"as `{preset}` counts" in found.markdown()


def test_intervals_hold_the_figure_and_are_repeatable(batches, generator):
    truth = torch.cat([b.truth for b in batches])
    answer = SettingLogits(EvalSetting(), torch.zeros_like(truth), torch.randn(9, 7, generator=generator))
    one, two = (report(truth, [answer], PLAIN, intervals=200).settings[0] for _ in range(2))
    low, high = one.intervals["OF1"]
    assert low <= one.hidden.OF1 <= high and one.intervals == two.intervals
    shown = report(truth, [answer], PLAIN, intervals=50)
    assert "95 % interval" in shown.markdown() and "95 % interval" not in shown.markdown(everything=True)


def test_truth_that_is_not_annotated_is_neither_known_nor_counted(model, batches):
    holes = [Batch(b.inputs, b.truth.masked_fill(torch.arange(7) == 6, LabelState.UNKNOWN), b.index) for b in batches]
    truth, answers = predict(model, holes, IDS, PLAIN, [EvalSetting(0.9)])
    assert (answers[0].states[:, 6] == LabelState.UNKNOWN).all()
    assert report(truth, answers, PLAIN).settings[0].labels["tree"][1] == 0


@pytest.mark.parametrize("labels", [PLAIN, GROUPED], ids=["plain", "groups"])
def test_blocks_in_files_have_the_figures_of_the_whole(model, batches, labels, monkeypatch):
    annotated = [torch.rand(b.truth.shape, generator=torch.Generator().manual_seed(1)) < 0.8 for b in batches]
    holes = [dataclasses.replace(b, truth=b.truth * kept) for b, kept in zip(batches, annotated, strict=True)]
    settings, presets = [EvalSetting(0.0), EvalSetting(0.5)], [*PRESETS][1:]
    decoder = Decoder(labels, Calibration((0.0, 0.5), (1.5, 0.7), {labels.names[0]: 0.3}, "greatest F1", ()))

    def figures():
        truth, outputs = predict(model, holes, IDS, labels, settings, draws=2)
        return report(truth, outputs, labels, presets=presets, decoder=decoder).as_dict()

    whole = figures()
    monkeypatch.setattr(measured, "BLOCK", 3 * len(labels))
    monkeypatch.setattr(store, "IN_MEMORY", 0)
    assert plain(figures()) == pytest.approx(plain(whole), rel=1e-9, nan_ok=True)


def plain(value, name=""):
    """Numbers of nested data by their path."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {path: number for key, each in pairs for path, number in plain(each, f"{name}/{key}").items()}
    return {name: value} if isinstance(value, int | float) else {}


def test_text_fits_a_terminal_and_files_have_every_column(model, batches):
    truth, answers = predict(model, batches, IDS, GROUPED, [EvalSetting(0.0), EvalSetting(0.5)], draws=3)
    found = report(truth, answers, GROUPED, presets=["ctran"], intervals=50)
    text = found.text()
    assert max(map(len, text.splitlines())) <= 80 and "95 % interval" in text and "spread over draws" in text
    first, rule, *rows = text.split("\n\n")[0].splitlines()
    assert first.replace("|", " ").split() == ["known", "mAP", "CP", "CR", "CF1", "OP", "OR", "OF1"]
    places = [n for n, letter in enumerate(first) if letter == "|"]
    assert len(rows) == 2 and all([n for n, letter in enumerate(row) if letter == "|"] == places for row in (rule, *rows))
    head = found.markdown().splitlines()[0]
    assert [word for word in head.replace("|", " ").split() if word != "known"] == list(COLUMNS)
    assert all(word in text for word in ("CF1: harmonic mean", "as `ctran` counts"))
