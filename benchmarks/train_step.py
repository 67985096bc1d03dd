"""A step of label mask training: masks, forward, loss, backward, Adam."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import MIB, Options, interleave, ratios, spread, verdict
from benchmarks.machine import WITHOUT_BFLOAT16, bfloat16_is_timed, operations, reached
from benchmarks.memory import Step, peak_memory, training_tensors
from benchmarks.models import Literal, paper_model
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.masking import label_mask_training

TITLE = "Label mask training step"
TARGET = (
    "The paper's model at 320 px, batch 8: at least 2.2 x; memory of activations (peak less weights, gradients and optimiser) "
    "at most 0.6 x the literal model's."
)
LEAST, MOST = 2.2, 0.6

Model = Callable[[Tensor, Tensor], Tensor]


def batch(tiny: bool) -> tuple[Tensor, Tensor]:
    """Images ``[8, 3, 320, 320]`` and truth ``[8, 80]``; ``tiny``: toys."""
    side, num_labels = (64, 5) if tiny else (320, 80)
    torch.manual_seed(1)
    return torch.randn(8, 3, side, side), torch.randint(1, 3, (8, num_labels))


def build(name: str, tiny: bool) -> Step:
    """The step of the candidate ``name`` (:data:`CANDIDATES`) on a fixed batch, optimiser state and gradients in place."""
    options = CANDIDATES[name]
    images, truth = batch(tiny)
    ours = paper_model(num_labels=truth.shape[1], tiny=tiny, attention_dropout=options["attention_dropout"])
    ours.encoder.activation_checkpointing = options["recompute"]
    model: nn.Module = (Literal(ours) if options["literal"] else ours).train()
    del ours
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    held = training_tensors(model, optimizer)
    generator = torch.Generator().manual_seed(2)

    def step() -> float:
        states = label_mask_training(truth, generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=options["bf16"]):
            logits = model(images, states)
        loss = LabelLoss(BCE(), reduction="sum")(logits, truth, states)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)  # gradients stay in place, so that memory counts activations alone
        return float(loss.detach())

    return Step(step, held)


def _candidate(
    *, literal: bool = False, bf16: bool = False, recompute: bool = False, attention_dropout: bool = True
) -> dict[str, bool]:
    return {"literal": literal, "bf16": bf16, "recompute": recompute, "attention_dropout": attention_dropout}


CANDIDATES: Mapping[str, dict[str, bool]] = {
    "literal": _candidate(literal=True),
    "library, float32": _candidate(),
    "library, bf16": _candidate(bf16=True),
    "library, bf16, recompute": _candidate(bf16=True, recompute=True),
    "library, bf16, no attention dropout": _candidate(bf16=True, attention_dropout=False),
}
"""The first is the yardstick. Without dropout of attention weights the fused kernel runs on CPU."""


def run(options: Options) -> dict[str, Any]:
    names = [name for name, made in CANDIDATES.items() if bfloat16_is_timed(options) or not made["bf16"]]
    steps = {name: build(name, options.tiny).run for name in names}
    work = {name: operations(steps[name]) for name in ("literal", "library, float32")}
    times = interleave(steps, options.repeats)
    del steps
    memory = {name: peak_memory(build, name, options.tiny, options=options) for name in names}
    return {"times": times, "operations": work, "memory": memory}


def table(result: dict[str, Any]) -> str:
    times, memory, limit = result["times"], result["memory"], result["ceiling"]
    lines = [
        "| step | seconds | times as fast | target | of the ceiling | activations, MiB | of literal | target "
        "| saved for backward, MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, own in times.items():
        literal, bf16 = name == "literal", "bf16" in name
        gain = ratios(times["literal"], own)
        share = memory[name]["activations"] / memory["literal"]["activations"]
        done = result["operations"]["literal" if literal else "library, float32"]
        cells = (
            name,
            spread(own),
            spread(gain),
            verdict(statistics.median(gain), least=LEAST, unit=" x") if bf16 else "",
            reached(done, statistics.median(own), limit["bfloat16" if bf16 else "float32"]),
            f"{memory[name]['activations'] / MIB:,.0f}",
            f"{share:.2f}",
            verdict(share, most=MOST, unit=" x") if bf16 else "",
            f"{memory[name]['saved'] / MIB:,.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    note = (
        "The library's steps use channels-last images, the literal one does not; all draw new masks. "
        "Activations: growth of a fresh process during the step, gradients and Adam's state in place before it; of "
        "these, what was saved for the backward, counted exactly."
    )
    return "\n".join([*lines, "", note if any("bf16" in name for name in times) else f"{note} {WITHOUT_BFLOAT16}"])
