"""The ways of asking a model about a picture. A new way is one more function in ``WAYS``.

Each gives all that it says of some pictures, to be compared with :func:`expected`: plain Python from the logits on.
"""

import base64
import csv
import io
import json
import math
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from fastapi.testclient import TestClient

from ctran.analysis.calibrate import entries, predict_shares, write_calibration
from ctran.analysis.suspects import left_out
from ctran.cli.main import main
from ctran.constraints.calibration import Calibration
from ctran.constraints.implications import propagate_implications
from ctran.data.table import SampleTable
from ctran.folders.tagger import Tagger
from ctran.inference.prediction import Prediction
from ctran.inference.predictor import Predictor
from ctran.labels import LabelState
from ctran.masking import EvalSetting, known_labels
from ctran.plots.sheets import contact_figure
from ctran.plots.style import BAD, INK
from ctran.serving.api import create_app
from ctran.serving.settings import Settings
from ctran.training.pipeline import build_tables, build_tagger
from ctran.training.recipe import hints_of, read_recipe
from tests.conftest import COLOURS, TOY, draw, stirred

AMOUNTS = ("zero", "one", "many")
RULES = [
    *("--labels.groups", "{amount: {labels: [zero, one, many], exclusive: true}}"),
    *("--labels.implications", "{red: [warm], blue: [cold], many: [full]}"),
    *("--labels.extra", "[cold]"),
]
CALIBRATION = Calibration((0.0, 0.2, 0.6), (2.0, 0.5, 1.5), {"red": 0.3, "warm": 0.98, "green": 0.9, "blue": 0.2, "full": 0.8})
KNOWN = ({}, {"green": True}, {"many": False, "warm": False}, {"red": True, "zero": False}, {"cold": False, "full": False})
SHARE = 0.5
"""Of the labels that evaluation gives."""


@dataclass(frozen=True)
class Said:
    """What one way says of a picture, of all labels that are asked for or of some.

    Args:
        present: label -> whether it is predicted to be present.
        within: how far probabilities may be off, as where they are printed in percent.
    """

    id: str
    known: dict[str, bool]
    probabilities: dict[str, float]
    present: dict[str, bool] = field(default_factory=dict)
    within: float = 2e-6

    @classmethod
    def of(cls, name: str, known: dict[str, bool], probabilities: dict[str, float], labels: list[str], **options) -> "Said":
        """Of all labels: those listed are present."""
        every = dict.fromkeys(probabilities, False) | dict.fromkeys(known, False) | dict.fromkeys(labels, True)
        return cls(name, known, probabilities, every, **options)


@dataclass(frozen=True)
class Asked:
    """A calibrated run with an exclusive group, implications and an extra label."""

    run: Path

    @cached_property
    def tagger(self) -> Tagger:
        return Tagger.load(self.run)

    @cached_property
    def table(self) -> SampleTable:
        return build_tables(read_recipe(self.run / "recipe.yaml"))["test"]

    def picture(self, name: str) -> bytes:
        return self.table.content(self.table.ids.index(name))

    def file(self, name: str) -> Path:
        """The picture as a file."""
        path = self.run / f"{Path(name).stem}.png"
        path.write_bytes(self.picture(name))
        return path

    @property
    def cases(self) -> list[tuple[str, dict[str, bool]]]:
        """Pictures, each with everything that may be known."""
        return [(name, known) for name in self.table.ids[:2] for known in KNOWN]

    def given(self, name: str, share: float) -> dict[str, bool]:
        """What evaluation gives of a picture."""
        truth = self.table.truth_for(self.tagger.labels).rows([self.table.ids.index(name)]).long()
        shown = known_labels(EvalSetting(share), truth, [name], self.tagger.labels)[0] & (truth[0] != LabelState.UNKNOWN)
        return {n: bool(truth[0, i] == LabelState.POSITIVE) for i, n in enumerate(self.tagger.labels.names) if shown[i]}


def make(folder: Path, method: str = "ctran", *more: str) -> Asked:
    """Pictures of coloured squares, and a model with random weights; ``more``: flags of its recipe."""
    pictures, run = folder / "pictures", folder / "run"
    pictures.mkdir()
    run.mkdir()
    chance, lines = np.random.default_rng(3), ["file_name,labels"]
    for number in range(24):
        colours = [c for c in COLOURS if chance.random() < 0.5]
        draw(pictures / f"{number:02}.png", colours, note=f"7 {number}")
        amount = AMOUNTS[min(len(colours), 2)]
        more = ["warm"] * ("red" in colours) + ["cold"] * ("blue" in colours) + ["full"] * (amount == "many")
        lines.append(f'{number:02}.png,"{",".join([*colours, amount, *more])}"')
    (pictures / "metadata.csv").write_text("\n".join(lines) + "\n")
    has = hints_of(method, "imagefolder")
    small = [
        word for key, value in zip(TOY[::2], TOY[1::2], strict=True) if key.removeprefix("--") in has for word in (key, value)
    ]
    flags = ["--method", method, "--source", "imagefolder", "--root", str(pictures), "--absent", "negative"]
    recipe = read_recipe(None, [*flags, *small, *RULES, *more])
    recipe.save(run / "recipe.yaml")
    torch.manual_seed(1)
    stirred(build_tagger(recipe, build_tables(recipe)["train"].labels)).save(run / "model")
    write_calibration(CALIBRATION, run)
    return Asked(run)


def expected(asked: Asked, name: str, known: dict[str, bool]) -> tuple[dict[str, float], dict[str, bool]]:
    """Probabilities of all labels and which are present, from the logits on without tensors; each computed once."""
    return _expected(asked, name, tuple(known.items()))


@cache
def _expected(asked: Asked, name: str, items: tuple[tuple[str, bool], ...]) -> tuple[dict[str, float], dict[str, bool]]:
    tagger, labels, known = asked.tagger, asked.tagger.labels, dict(items)
    states = propagate_implications(labels.states(known)[None], labels.implied)
    with torch.inference_mode():
        square = tagger.preprocessing.pixels(asked.table.pixels(asked.table.ids.index(name)))
        tokens = tagger.model.encode_images(tagger.preprocessing.normalise(square[None]))
        logits = tagger.model.predict_labels(tokens, states)[0].tolist()
        chosen = tagger.model.decode(tokens, states)
    temperature = np.interp(len(known) / len(labels), CALIBRATION.known_shares, CALIBRATION.temperatures)
    z = {n: logit / temperature for n, logit in zip(labels.names, logits, strict=True)}
    settled = labels.constraints.follow(known)
    left = sum(math.exp(z[n]) for n in AMOUNTS if settled.get(n) is not False)
    p = {n: math.exp(z[n]) / left if n in AMOUNTS else 1 / (1 + math.exp(-z[n])) for n in labels.names}
    p |= {n: float(present) for n, present in settled.items()}
    p |= {parent: max(p[parent], p[child]) for child, parent in labels.implied_names}
    order = [n for n in sorted(p, key=lambda n: -p[n]) if n not in labels.extra and n not in known]
    if chosen is None:
        decided = labels.constraints.decide({n: p[n] for n in order}, known, lambda n: CALIBRATION.thresholds.get(n, 0.5))
    else:  # first what the method chose, the most probable one first
        inside = dict(zip(labels.names, chosen[0].tolist(), strict=True))
        rank = {n: 0.5 + p[n] / 2 if inside[n] else 0.499 * p[n] for n in order}
        decided = labels.constraints.decide(dict(sorted(rank.items(), key=lambda item: -item[1])), known, lambda n: 0.5)
    return p, {**decided, **known}


def said_by(predictor: Predictor, asked: Asked, within: float = Said.within) -> Iterator[Said]:
    for name, known in asked.cases:
        yield replace(one(name, known, predictor.predict(asked.picture(name), known)), within=within)


def one(name: str, known: dict[str, bool], prediction: Prediction) -> Said:
    assert prediction.known == known
    return Said.of(name, known, prediction.probabilities, prediction.labels)


def predict(asked):
    return said_by(asked.tagger, asked)


def predict_all(asked):
    ids = asked.table.ids
    for known in KNOWN:
        found = asked.tagger.predict_all(map(asked.picture, ids), known, batch_size=2)
        yield from (one(name, known, each) for name, each in zip(ids, found, strict=True))


def session(asked):
    for name, known in asked.cases:
        yield one(name, known, asked.tagger.session(asked.picture(name)).tell(known).predict())
        yield one(name, known, asked.tagger.session(asked.picture(name)).predict(known))


def command(*arguments) -> str:
    """What a command prints."""
    with redirect_stdout(io.StringIO()) as printed:
        assert main([*map(str, arguments)]) == 0
    return printed.getvalue()


def flags_of(known):
    return ["--known", *(f"{n}={'yes' if present else 'no'}" for n, present in known.items())] if known else []


def command_json(asked):
    for name, known in asked.cases:
        row = json.loads(command("predict", asked.run, asked.file(name), *flags_of(known), "--json"))
        yield Said.of(name, row["known"], row["probabilities"], row["labels"])


def command_csv(asked):
    for name, known in asked.cases:
        rows = list(csv.DictReader(io.StringIO(command("predict", asked.run, asked.file(name), *flags_of(known), "--csv"))))
        chance = {r["label"]: float(r["probability"]) for r in rows}
        yield Said(name, known, chance, {r["label"]: r["present"] == "1" for r in rows})


def client_of(asked):
    return TestClient(create_app(asked.tagger, Settings(hosts=("testserver",))))


def http_predict(asked):
    images = [{"data": base64.b64encode(asked.picture(name)).decode(), "known": known} for name, known in asked.cases]
    with client_of(asked) as client:
        found = client.post("/v1/predict", json={"images": images}).json()
    for (name, known), each in zip(asked.cases, found, strict=True):
        assert each["known"] == known
        yield Said.of(name, known, each["probabilities"], each["labels"])


def http_images(asked):
    with client_of(asked) as client:
        for name, known in asked.cases:
            image = client.post("/v1/images", content=asked.picture(name)).json()
            yield Said.of(name, {}, image["probabilities"], image["labels"])
            found = client.post(f"/v1/images/{image['id']}/predict", json={"known": known}).json()
            yield Said.of(name, known, found["probabilities"], found["labels"])


def plot_examples(asked):
    command("plot", "examples", asked.run, "--count", 3, "--known-share", 100 * SHARE)
    with (asked.run / "examples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in dict.fromkeys(r["picture"] for r in rows):
        for setting, share in (("regular", 0.0), (str(EvalSetting(SHARE)), SHARE)):
            mine = [r for r in rows if r["picture"] == name and r["setting"] == setting]
            chance = {r["label"]: float(r["probability"]) for r in mine if r["probability"]}
            present = {r["label"]: r["present"] == "1" for r in mine if r["label"] in chance}
            yield Said(name, asked.given(name, share), chance, present)


def contact_sheet(asked):
    """Percent below the pictures, and by their colour which labels are predicted, though annotated as absent."""
    figure = contact_figure(asked.tagger, asked.table, count=3)
    for name, axes in zip(asked.table.ids[:3], figure.axes, strict=False):
        lines = [(*line.get_text().rsplit(" ", 1), line.get_color()) for line in axes.texts]
        chance = {label: float(percent) / 100 for label, percent, _ in lines}
        present = {label: colour == BAD for label, _, colour in lines if colour in (BAD, INK)}
        yield Said(name, {}, chance, present, within=0.0051)


def suspects(asked):
    """Of each annotation the probability given all others that do not give it away."""
    command("suspects", asked.run)
    labels, truths = asked.tagger.labels, asked.table.truth_for(asked.tagger.labels)
    groups = [members.tolist() for members in labels.exclusive]
    with (asked.run / "suspects-test.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            truth = truths.rows([asked.table.ids.index(row["id"])])[0].long()
            codes = left_out(truth, [labels.index(row["label"])], groups, labels.implied)[0].tolist()
            known = {n: code == LabelState.POSITIVE for n, code in zip(labels.names, codes, strict=True) if code}
            yield Said(row["id"], known, {row["label"]: float(row["probability"])})


def evaluation(asked):
    _, found = predict_shares(asked.tagger, asked.table, (0.0, SHARE), 0, "test")
    for answer in found:
        rows = zip(
            asked.table.ids, answer.probabilities(asked.tagger.decoder), answer.present(asked.tagger.decoder), strict=True
        )
        for name, p, present in rows:
            yield of_row(asked, name, answer.setting.share, p, present)


def calibrate(asked):
    truth, found = predict_shares(asked.tagger, asked.table, (0.0, SHARE), 0, "test")
    for answer in found:
        p, _, counts = entries(truth, answer, asked.tagger.decoder)
        for name, row, kept in zip(asked.table.ids, p, counts, strict=True):
            said = of_row(asked, name, answer.setting.share, row, kept)
            yield Said(name, said.known, {n: said.probabilities[n] for n, here in said.present.items() if here})


def of_row(asked, name, share, p, present):
    labels = asked.tagger.labels
    asked_for = [n for n in labels.names if n not in labels.extra]
    chance, here = (dict(zip(labels.names, row.tolist(), strict=True)) for row in (p, present))
    return Said(name, asked.given(name, share), {n: chance[n] for n in asked_for}, {n: here[n] for n in asked_for})


WAYS = (
    predict,
    predict_all,
    session,
    command_json,
    command_csv,
    http_predict,
    http_images,
    plot_examples,
    contact_sheet,
    suspects,
    evaluation,
    calibrate,
)


def check(asked, found):
    """Whatever was said is what the plain computation gives; returns for how many entries."""
    count = 0
    for said in found:
        chance, present = expected(asked, said.id, said.known)
        wrong = {n: (p, chance[n]) for n, p in said.probabilities.items() if abs(p - chance[n]) > said.within}
        assert not wrong, (said.id, said.known, wrong)
        other = {n for n, here in said.present.items() if here != present.get(n, False)}
        assert not other, (said.id, said.known, other)
        count += len(said.probabilities)
    return count
