"""README.md of an exported folder: all that a program without ctran needs to decode the logits."""

import re

import numpy as np
import pytest
import torch

from ctran.constraints.calibration import Calibration
from ctran.constraints.decode import Decoder
from ctran.export.card import SHOWN, decoding
from ctran.labels import Group, LabelSpace

LABELS = LabelSpace(
    ("oak", "tree", "cat", "dog", "sea", "animal", "night"),
    extra=("night",),
    groups=(Group("subject", ("cat", "dog", "sea"), exclusive=True),),
    implications=(("oak", "tree"), ("cat", "animal"), ("dog", "animal")),
)
CALIBRATION = Calibration((0.0, 0.5), (0.7, 1.9), {"oak": 0.31, "tree": 0.82, "animal": 0.95})


def step(text, words):
    """The step that has these words; an empty string where there is none."""
    return next((line for line in text.splitlines() if words in line), "")


def facts(text):
    """Temperatures, implications, exclusive groups and thresholds, as the text has them."""
    temperatures = [(float(at), float(t)) for t, at in re.findall(r"([\d.]+) at ([\d.]+)", step(text, "temperature"))]
    implications = re.findall(r"(\w+) => (\w+)", step(text, "Implications"))
    groups = [
        names.split(", ")
        for names in re.findall(r"\w+: ([^;.]+)[;.]", step(text, "exactly one").partition("absent is present. ")[2])
    ]
    thresholds = {
        name: float(t) for name, t in re.findall(r"(\w+) (0\.\d+)", step(text, "is present from").partition("from: ")[2])
    }
    return temperatures, implications, groups, thresholds


def decode(text, names, logits, states):
    """Probabilities and labels of one row, in NumPy, by the steps of the text and with its figures."""
    temperatures, implications, groups, thresholds = facts(text)
    if temperatures:
        logits = logits / np.interp((states > 0).mean(), *zip(*temperatures, strict=True))
    pairs = [(names.index(child), names.index(parent)) for child, parent in implications]
    members = [[names.index(name) for name in group] for group in groups]
    states = states.copy()
    for _ in names:
        for child, parent in pairs:
            if states[child] == 2:
                states[parent] = 2
            if states[parent] == 1:
                states[child] = 1
        for group in members:
            left = [i for i in group if states[i] != 1]
            if any(states[i] == 2 for i in group) or len(left) == 1:
                states[group] = [2 if i == next((j for j in group if states[j] == 2), left[0]) else 1 for i in group]
    p = 1 / (1 + np.exp(-logits))
    for group in members:
        odds = np.exp(logits[group]) * (states[group] != 1)
        p[group] = odds / odds.sum()
    p[states == 1], p[states == 2] = 0, 1
    for child, parent in pairs:
        p[parent] = max(p[parent], p[child], *(sum(p[i] for i in group if (i, parent) in pairs) for group in members))
    present = p >= np.array([thresholds.get(name, 0.5) for name in names])
    for group in members:
        present[group] = np.arange(len(group)) == p[group].argmax()
    for child, parent in pairs:
        present[parent] |= present[child]
    return p, present


@pytest.mark.parametrize("calibration", [None, CALIBRATION])
@pytest.mark.parametrize(
    "known", [{}, {"oak": True, "dog": False}, {"animal": False}, {"cat": True, "tree": False, "night": True}]
)
def test_the_steps_and_figures_of_the_text_give_the_predictions_of_ctran(calibration, known, generator):
    text, decoder = decoding(LABELS, calibration), Decoder(LABELS, calibration)
    targets = LABELS.targets.numpy()
    states = LABELS.states(known)[None]
    for logits in torch.randn(20, 1, len(LABELS), generator=generator, dtype=torch.double) * 3:
        expected = decoder.probabilities(logits, states)
        p, present = decode(text, list(LABELS.names), logits[0].numpy(), states[0].numpy())
        assert p[targets] == pytest.approx(expected[0].numpy()[targets], abs=1e-6)
        assert (present[targets] == decoder.labels(expected, states)[0].numpy()[targets]).all()


def test_the_text_has_only_the_steps_that_a_model_needs():
    plain = decoding(LabelSpace(("a", "b")), None)
    assert (
        plain == "1. Probabilities are `1 / (1 + exp(-logits))`, and 1 or 0 for known labels.\n"
        "2. A label is present from a probability of 0.5 on."
    )
    assert "ignore their logits: night." in decoding(LABELS, None)
    fitted = Calibration((0.0,), (1.0,), {"a": 0.25})
    assert decoding(LabelSpace(("a", "b")), fitted).endswith("0.5 on; instead from: a 0.25.") and "temperature" not in plain


def test_long_lists_name_the_first_and_count_the_rest():
    names = tuple(f"n{i}" for i in range(SHOWN + 8))
    text = decoding(LabelSpace(names), Calibration(thresholds=dict.fromkeys(names, 0.4)))
    assert f"n{SHOWN - 1} 0.4 and 8 more (in the metadata)" in text and f"n{SHOWN} " not in text
