"""Memory of what follows the image tokens, with many labels."""

from typing import Any

import torch

from benchmarks.harness import MIB, Options, interleave, ratios, spread, verdict
from benchmarks.memory import Step, peak, peak_memory, training_tensors
from benchmarks.models import Literal, head_model
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.model import Features

TITLE = "Memory of the head with 2,000 labels"
TARGET = (
    "The head alone (everything after the backbone), L = 2,000, D = 512, P = 324, a training step of batch 2, without "
    "attention dropout on either side: at most 0.25 x the literal model's peak."
)
MOST = 0.25
AGAIN = ", recompute"
SCHEMES = ("literal", "full", "full" + AGAIN, "image_first", "image_first" + AGAIN, "latent", "latent" + AGAIN)
"""``recompute``: layers are done again in the backward (``training.activation_checkpointing``)."""


def build(scheme: str, num_labels: int, dim: int, places: int, batch: int) -> Step:
    """A step of training of the literal head or the library's, float32, Adam; ``places`` is ``P``, a square."""
    options = {} if scheme == "literal" else {"attention": scheme.removesuffix(AGAIN)}
    ours = head_model(num_labels=num_labels, dim=dim, attention_dropout=False, **options)
    ours.encoder.activation_checkpointing = scheme.endswith(AGAIN)
    model = (Literal(ours) if scheme == "literal" else ours).train()
    side = int(places**0.5)
    features = Features(torch.randn(batch, places, ours.backbone.channels), (side, side))
    truth = torch.randint(1, 3, (batch, num_labels))
    states = truth * (torch.rand(truth.shape) < 0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    held = training_tensors(model, optimizer)

    def step() -> float:
        loss = LabelLoss(BCE())(model.predict_labels(features, states), truth, states)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return float(loss.detach())

    return Step(step, held)


def run(options: Options) -> dict[str, Any]:
    shape = (7, 16, 4, 2) if options.tiny else (2000, 512, 324, 2)
    memory = {scheme: peak_memory(build, scheme, *shape, options=options) for scheme in SCHEMES}
    times = interleave({scheme: build(scheme, *shape).run for scheme in SCHEMES}, options.repeats)
    return {"memory": memory, "times": times}


def table(result: dict[str, Any]) -> str:
    memory, times = result["memory"], result["times"]
    lines = [
        "| head, attention | weights, gradients, Adam, MiB | activations, MiB | both | of literal | target "
        "| activations of literal | saved for backward, MiB | times as fast |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    yard = memory["literal"]
    for name, own in memory.items():
        both = peak(own)
        share = both / peak(yard)
        cells = (
            name,
            f"{own['held'] / MIB:,.0f}",
            f"{own['activations'] / MIB:,.0f}",
            f"{both / MIB:,.0f}",
            f"{share:.2f}",
            verdict(share, most=MOST, unit=" x") if name.endswith(AGAIN) else "",
            f"{own['activations'] / yard['activations']:.2f}",
            f"{own['saved'] / MIB:,.0f}",
            spread(ratios(times["literal"], times[name])),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
