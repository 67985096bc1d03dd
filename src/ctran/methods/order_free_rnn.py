"""Order-free recurrent classifiers: an LSTM with attention whose targets have no order of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState
from ctran.losses._base import LabelLoss
from ctran.masking import scored_mask
from ctran.methods._about import About
from ctran.methods._assignment import least_cost
from ctran.methods._base import backbone_of
from ctran.methods._sequences import Image, SequenceConfig, SequenceMethod, State
from ctran.model import Backbone, Features, Stage, TrainingStep
from ctran.model.attention import repeat_rows
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "order-free RNN: an LSTM with attention emits labels; targets by a candidate pool, or aligned to its steps (PLA, MLA)"
ABOUT = About(
    source="S.-F. Chen, Y.-C. Chen, C.-K. Yeh, Y.-C. F. Wang: Order-Free RNN with Visual Attention for Multi-Label "
    "Classification, AAAI 2018; PLA and MLA: V. O. Yazici et al.: Orderless Recurrent Models for Multi-label Classification, "
    "CVPR 2020; voyazici/orderless-rnn-classification 51f6f3e",
    year=2018,
    needs="steps one after another, so it is not exported",
    differs="labels that were emitted or are known to be absent are never emitted; cells have one dropout mask for all steps; "
    "PLA aligns the labels that are predicted only behind the last target step too, which the code leaves where they are; "
    "the loss is summed over steps, where the code has the mean over all steps of a batch; one optimizer for all stages, and "
    "no cyclic rate; the ranking of all labels is ours, as in cnn_rnn",
    uncertain="pool: all but the objective (the network is that of PLA, the first input the mean of the label embeddings by "
    "preliminary confidence): no public code of the authors was found",
    compared="voyazici/orderless-rnn-classification 51f6f3e: logits of 20 steps up to the end differ by at most 3e-6",
)

Alignment = Literal["pla", "mla", "pool"]


@dataclass(frozen=True)
class Config(SequenceConfig):
    """Order-free recurrent classifiers.

    Args:
        alignment: pla keeps labels that are predicted at the step that does and assigns the others at least cost; mla assigns
            all; pool (Chen et al.) trains each step on all labels that are left, and takes away the most confident of them.
        word_dim: width of the label embeddings.
        hidden_dim: units of the LSTM.
        attention_dim: width of the attention over the cells.
        dropout: of cells, hidden units and embeddings, in training.
        encoder_share: share of the epochs in which backbone and a linear layer are trained first, by the recipe's loss.
        decoder_share: share of the epochs in which the recurrent part is trained alone at the end.
    """

    may_differ = SequenceConfig.may_differ | {"alignment", "dropout", "encoder_share", "decoder_share"}

    alignment: Alignment = "pla"
    word_dim: int = within(256, 1, 65_536)
    hidden_dim: int = within(512, 1, 65_536)
    attention_dim: int = within(512, 1, 65_536)
    dropout: float = within(0.5, 0, 1, below=True)
    encoder_share: float = within(0.0, 0, 1)
    decoder_share: float = within(0.0, 0, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder_share + self.decoder_share > 1:
            raise UserError(
                "model.encoder_share and model.decoder_share must be at most 1 together, "
                f"got {self.encoder_share:g} and {self.decoder_share:g}"
            )

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """The encoder, all, the decoder."""
        first, last = round(self.encoder_share * epochs), round(self.decoder_share * epochs)
        last = min(last, epochs - first)
        return (
            Stage(first, "encoder", {"decoder": 0.0}),
            Stage(epochs - first - last, "joint"),
            Stage(last, "decoder", {"backbone": 0.0, "confidence": 0.0}),
        )

    def published_as(self, training: "Training") -> tuple[str, ...]:
        """The alignment: each is another paper's."""
        return (f"alignment {self.alignment}",)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """The recipe's loss, where no linear layer is trained."""
        yield from super().unused(training)
        if self.alignment != "pool" and not self.encoder_share:
            why = f"model.alignment {self.alignment} trains sequences of labels, and model.encoder_share is 0"
            yield from ((key, why) for key in ("training.loss", "loss.*", "training.exclusive"))


class AttentionLSTM(nn.Module):
    """An LSTM that attends to the cells of a picture."""

    def __init__(self, channels: int, labels: int, config: Config) -> None:
        super().__init__()
        hidden, word = config.hidden_dim, config.word_dim
        self.words = nn.Embedding(labels, word)
        self.start = nn.Parameter(torch.randn(1, word))
        self.cells, self.query = nn.Linear(channels, config.attention_dim), nn.Linear(hidden, config.attention_dim)
        self.score, self.gate = nn.Linear(config.attention_dim, 1), nn.Linear(hidden, channels)
        self.cell = nn.LSTMCell(word + channels, hidden)
        self.first_hidden, self.first_memory = nn.Linear(channels, hidden), nn.Linear(channels, hidden)
        self.readout, self.end = nn.Linear(hidden, labels), nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(config.dropout)

    def attend(self, image: Image, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R C"]:
        """Average of the cells by attention, gated."""
        images = len(image["cells"])
        query = self.query(hidden).unflatten(0, (images, len(hidden) // images))  # B k A
        scores = self.score((image["keys"][:, None] + query[:, :, None]).relu())[..., 0]  # B k P
        return self.gate(hidden).sigmoid() * (scores.softmax(dim=2) @ image["cells"]).flatten(0, 1)


class OrderFreeRNN(SequenceMethod):
    r"""Labels emitted by an LSTM with attention over the cells :math:`z_p`,

    .. math:: \alpha_p \propto \exp(w\,\mathrm{relu}(W_z z_p + W_h h_{t-1})), \quad
        c_t = \sigma(W_g h_{t-1}) \odot \textstyle\sum_p \alpha_p z_p, \quad
        h_t = \mathrm{LSTM}([e_{k_{t-1}}; c_t], h_{t-1})

    with logits :math:`W h_t + b` of the ``L`` labels and the end. ``pla`` and ``mla``: a softmax, its own predictions as inputs
    in training, and cross-entropy with the ``n`` labels of a picture assigned to the first ``n`` steps, then the end. ``pool``:
    sigmoids, trained at each step on all labels that are left, and on the end when none is; the most confident of them is the
    next input. ``training.reduction`` is over pictures.

    Shapes: the largest tensor has ``R P A`` entries, with the width ``A`` of the attention.
    """

    label_parameters = frozenset(
        {"decoder.words.weight", "decoder.readout.weight", "decoder.readout.bias", "confidence.weight", "confidence.bias"}
    )
    rate_parts = ("backbone", "confidence", "decoder")

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(labels, config.beams)
        self.backbone, self.config = backbone, config
        self.confidence = nn.Linear(backbone.channels, len(labels))
        self.decoder = AttentionLSTM(backbone.channels, len(labels), config)

    def image_part(self, features: Features) -> dict[str, Tensor]:
        """Cells, their projection, their average."""
        tokens = features.tokens.to(self.confidence.weight.dtype)
        cells = self.decoder.dropout(tokens)
        return {"cells": cells, "keys": self.decoder.cells(cells), "average": tokens.mean(dim=1)}

    def initial(self, image: Image, rows: int) -> State:
        """Hidden units and memory, and the first input."""
        decoder, average = self.decoder, image["average"]
        first = decoder.start.expand(len(average), -1)
        if self.config.alignment == "pool":
            first = self.confidence(average).sigmoid() @ decoder.words.weight
        every = (decoder.first_hidden(average), decoder.first_memory(average), first)
        return tuple(repeat_rows(each, rows) for each in every)

    def step(self, image: Image, state: State, previous: Int[Tensor, " R"]) -> tuple[Float[Tensor, "R L1"], State]:
        """Log-probabilities (of each label by itself for ``pool``), and the next state."""
        logits, state = self._logits(image, state, previous)
        logits = logits.float()
        return (F.logsigmoid(logits) if self.config.alignment == "pool" else logits.log_softmax(dim=1)), state

    def _logits(self, image: Image, state: State, previous: Int[Tensor, " R"]) -> tuple[Float[Tensor, "R L1"], State]:
        decoder, (hidden, memory, first) = self.decoder, state
        labels = decoder.words.num_embeddings
        word = decoder.dropout(decoder.words(previous.clamp(max=labels - 1)))
        word = torch.where((previous == labels)[:, None], first, word)
        hidden, memory = decoder.cell(torch.cat([word, decoder.attend(image, hidden)], dim=1), (hidden, memory))
        read = decoder.dropout(hidden)
        return torch.cat([decoder.readout(read), decoder.end(read)], dim=1), (hidden, memory, first)

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """Of the stage: the linear layer, or the sequences; ``pool`` trains both."""
        image, terms = self.image_of(step.features), Losses()
        if step.stage == "encoder" or self.config.alignment == "pool":
            logits = self.confidence(image["average"])
            terms["confidence"] = criterion(logits, step.truth, step.states, epoch=step.epoch, index=step.index)
            if step.stage == "encoder":
                return terms
        forced = self.forced(image, step.states)
        counted = scored_mask(step.truth, step.states)
        left = counted & (step.truth == LabelState.POSITIVE)
        if self.config.alignment == "pool":
            total = self._pool(image, forced.state, forced.previous, left, counted)
        else:
            never = F.pad(forced.closed | (step.truth == LabelState.UNKNOWN), (0, 1))
            logits = self._own(image, forced.state, forced.previous, int(left.sum(dim=1).max()) + 1)
            logits = logits.float().masked_fill(never[:, None], -torch.inf)
            targets = aligned(logits.detach().log_softmax(dim=2), left, pin=self.config.alignment == "pla")
            targets = targets.masked_fill(~counted.any(dim=1, keepdim=True), -1)
            total = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")
        return {"labels": total / len(left) if criterion.reduction == "mean" else total} | terms

    def _own(self, image: Image, state: State, previous: Int[Tensor, " B"], steps: int) -> Float[Tensor, "B T L1"]:
        """Logits of steps whose inputs are what was predicted; after the end, the start."""
        found: list[Tensor] = []
        for _ in range(steps):
            logits, state = self._logits(image, state, previous)
            found.append(logits)
            previous = logits.argmax(dim=1)
        return torch.stack(found, dim=1)

    def _pool(
        self, image: Image, state: State, previous: Int[Tensor, " B"], left: Bool[Tensor, "B L"], counted: Bool[Tensor, "B L"]
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy of each step with the labels that are left, of which the most confident one goes."""
        labels, total = left.shape[1], image["average"].new_zeros(())
        open_ = counted.any(dim=1)
        while open_.any():
            logits, state = self._logits(image, state, previous)
            logits, empty = logits.float(), ~left.any(dim=1)
            target = torch.cat([left, empty[:, None]], dim=1).to(logits.dtype)
            weight = F.pad(counted, (0, 1), value=True) & open_[:, None]
            total = total + (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum()
            chosen = logits[:, :labels].masked_fill(~left, -torch.inf).argmax(dim=1)
            previous = torch.where(empty, labels, chosen)
            left = left & ~F.one_hot(chosen, labels).bool()
            open_ = open_ & ~empty
        return total

    def set_prior(self, log_odds: Float[Tensor, " L"]) -> None:
        self.confidence.bias.data.copy_(log_odds)

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The inputs of the LSTM."""
        return self.decoder.words.weight.detach()


@torch.no_grad()
def aligned(scores: Float[Tensor, "B T L1"], left: Bool[Tensor, "B L"], *, pin: bool) -> Int[Tensor, "B T"]:
    """Target of each step: the ``n`` labels of a picture in its first ``n`` steps at least cost, then the end, then -1.

    Args:
        scores: log-probabilities, at least ``n + 1`` steps.
        left: labels of each picture.
        pin: labels that are predicted in one of the first ``n`` steps stay there (PLA).
    """
    device, scores, left = scores.device, scores.cpu(), left.cpu()  # once, not entry by entry
    targets = torch.full(scores.shape[:2], -1)
    best = scores.argmax(dim=2).tolist()
    for row, present in enumerate(left):
        labels = present.nonzero()[:, 0].tolist()
        count = len(labels)
        targets[row, count] = left.shape[1]
        place: dict[int, int] = {}
        for at, label in enumerate(best[row][:count] if pin else ()):
            if label in labels and label not in place:
                place[label] = at
        others = [label for label in labels if label not in place]
        free = [at for at in range(count) if at not in place.values()]
        cost = -scores[row][free][:, others]
        place |= {others[j]: free[i] for i, j in enumerate(least_cost(cost.tolist()))}
        for label, at in place.items():
            targets[row, at] = label
    return targets.to(device)


def build(config: Config, labels: LabelSpace) -> OrderFreeRNN:
    """The model with random weights."""
    return OrderFreeRNN(backbone_of(config), labels, config)
