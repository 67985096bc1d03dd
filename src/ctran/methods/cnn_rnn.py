"""CNN-RNN (Wang et al., CVPR 2016): labels as a sequence, the most frequent first, from image and label embeddings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.bounds import within
from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._sequences import Image, SequenceConfig, SequenceMethod, State
from ctran.model import Backbone, Features, TrainingStep
from ctran.model.attention import repeat_rows
from ctran.model.stages import Losses

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "CNN-RNN: an LSTM emits labels from the most frequent on, beam search chooses the set; known labels come first"
ABOUT = About(
    source="J. Wang, Y. Yang, J. Mao, Z. Huang, C. Huang, W. Xu: CNN-RNN: A Unified Framework for Multi-label Image "
    "Classification, CVPR",
    year=2016,
    needs="the frequencies of the labels; steps one after another, so it is not exported",
    differs="averaged features of any backbone, not the last hidden layer of VGG-16; an LSTM with tanh, not rectified; labels "
    "that were emitted or are known to be absent are left out of a search; the ranking of all labels, from each label's "
    "greatest probability along the greedy path, is ours: the source does not state how its mAP was made",
    uncertain="embeddings of 64 and 512 hidden units, dropout 0.5, and the optimizer (RMSProp there, Adam in the recipes): no "
    "public code of the authors was found",
)


@dataclass(frozen=True)
class Config(SequenceConfig):
    """CNN-RNN.

    Args:
        word_dim: width of the label embeddings, which are also the readout.
        hidden_dim: units of the LSTM.
        dropout: of the LSTM's output and of what is read out, in training.
    """

    may_differ = SequenceConfig.may_differ | {"dropout"}

    word_dim: int = within(64, 1, 65_536)
    hidden_dim: int = within(512, 1, 65_536)
    dropout: float = within(0.5, 0, 1, below=True)

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """The loss is that of sequences."""
        yield from super().unused(training)
        yield from ((key, "the method trains sequences of labels") for key in ("training.loss", "loss.*", "training.exclusive"))


class CNNRNN(SequenceMethod):
    r"""Label sequences by an LSTM whose readout are the label embeddings :math:`U`,

    .. math:: (o_t, r_t) = \mathrm{LSTM}(U_{k_{t-1}}, r_{t-1}), \qquad x_t = \mathrm{relu}(U_o o_t + U_I \bar z), \qquad
        p_t = \mathrm{softmax}(U x_t)

    over the ``L`` labels and the end. The loss of a picture is the sum of the steps' cross-entropies along its labels by
    falling frequency, then the end; ``training.reduction`` is over pictures.
    """

    label_parameters = frozenset({"words.weight"})

    def __init__(self, backbone: Backbone, labels: LabelSpace, config: Config) -> None:
        super().__init__(labels, config.beams)
        self.backbone = backbone
        width, hidden = config.word_dim, config.hidden_dim
        self.words = nn.Embedding(len(labels), width)
        self.start, self.end = (nn.Parameter(torch.randn(1, width)) for _ in range(2))
        self.cell = nn.LSTMCell(width, hidden)
        self.output, self.image = nn.Linear(hidden, width), nn.Linear(backbone.channels, width)
        self.dropout = nn.Dropout(config.dropout)

    def image_part(self, features: Features) -> dict[str, Tensor]:
        """``U_I z``."""
        return {"projected": self.image(self.pooled(features).to(self.image.weight.dtype))}

    def initial(self, image: Image, rows: int) -> State:
        zeros = self.start.new_zeros(rows, self.cell.hidden_size)
        return zeros, zeros

    def step(self, image: Image, state: State, previous: Int[Tensor, " R"]) -> tuple[Float[Tensor, "R L1"], State]:
        """Log-probabilities, and the next state."""
        logits, state = self._logits(image, state, previous)
        return logits.float().log_softmax(dim=1), state

    def _logits(self, image: Image, state: State, previous: Int[Tensor, " R"]) -> tuple[Float[Tensor, "R L1"], State]:
        inputs = torch.cat([self.words.weight, self.start])[previous]
        hidden, memory = self.cell(inputs, state)
        joined = self.output(self.dropout(hidden)) + repeat_rows(image["projected"], len(previous))
        return self.dropout(joined.relu()) @ torch.cat([self.words.weight, self.end]).T, (hidden, memory)

    def loss(self, step: TrainingStep, criterion: LabelLoss) -> Losses:
        """Cross-entropy of the sequences of hidden labels, given the known ones."""
        image, (sequence, counted, never) = self.image_of(step.features), self.targets(step)
        state, total = self.initial(image, len(sequence)), self.start.new_zeros(())
        previous = torch.full_like(sequence[:, 0], step.truth.shape[1])
        never = F.pad(never, (0, 1))
        for label, target in zip(sequence.T, counted.T, strict=True):
            logits, state = self._logits(image, state, previous)
            logits = logits.float().masked_fill(never, -torch.inf)
            total = total + F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
            previous = label
        return {"labels": total / len(sequence) if criterion.reduction == "mean" else total}

    def label_embeddings(self) -> Float[Tensor, "L D"]:
        """The rows of ``U``."""
        return self.words.weight.detach()


def build(config: Config, labels: LabelSpace) -> CNNRNN:
    """The model with random weights."""
    return CNNRNN(backbone_of(config), labels, config)
