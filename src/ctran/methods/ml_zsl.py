"""ML-ZSL: a few numbers for each label, which exchange messages over WordNet's relations between the labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ctran.bounds import within
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import backbone_of
from ctran.methods._state_free import StateFree
from ctran.methods._word_relations import RELATIONS, relations
from ctran.methods._word_vectors import WordConfig, WordVectors, texts_of_labels
from ctran.methods._wordnet import PLACE, Nouns
from ctran.model import Backbone, Features

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "ML-ZSL: messages between labels over WordNet's relations; known labels are ignored"
ABOUT = About(
    source="C.-W. Lee, W. Fang, C.-K. Yeh, Y.-C. F. Wang: Multi-Label Zero-Shot Learning with Structured Knowledge Graphs, "
    "CVPR",
    year=2018,
    needs="word vectors of the label names (model.word_vectors; the paper's are GloVe, 300 numbers); the files of WordNet's "
    "nouns (model.wordnet)",
    differs="the loss is the recipe's, without the paper's weights of classes, whose form is not known here",
    uncertain="no code of the authors is at hand, and none of this was compared with the text: networks of one hidden layer, "
    "their width, similarities of 0.8 and more as positive (another reading is 0.5) and below 0.1 as negative, both beside the "
    "relations of super and sub; average pooling",
)


@dataclass(frozen=True)
class Config(WordConfig):
    """ML-ZSL.

    Args:
        wordnet: folder of WordNet's files, /usr/share/wordnet of Debian's package wordnet-base, read once, before training;
            or labels: the implications of the recipe are the only relations.
        synsets: senses of labels that are not the first of their name, as LABEL=SYNSET: "stop sign=stop.n.05"; none for a
            label without relations.
        positive_similarity: least similarity (Wu and Palmer's) of labels that are related positively.
        negative_similarity: labels of less are related negatively.
        state_dim: numbers of a label's state.
        graph_steps: steps in which labels exchange messages.
        hidden_dim: width of the one hidden layer of each network.
    """

    may_differ = WordConfig.may_differ | {"wordnet", "synsets"}

    wordnet: str | None = None
    synsets: tuple[str, ...] = ()
    positive_similarity: float = within(0.8, 0, 1, above=True)
    negative_similarity: float = within(0.1, 0, 1)
    state_dim: int = within(5, 1, 1024)
    graph_steps: int = within(5, 1, 256)
    hidden_dim: int = within(512, 1, 65_536)

    def __post_init__(self) -> None:
        super().__post_init__()
        texts_of_labels("model.synsets", self.synsets, "stop sign=stop.n.05")

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options of WordNet."""
        yield from super().unused(training)
        if self.wordnet == "labels":
            why = "model.wordnet labels takes the implications of the recipe"
            yield from ((key, why) for key in ("synsets", "positive_similarity", "negative_similarity"))


class MLZSL(StateFree):
    r"""Logits of label v from the averaged image tokens x and the word vectors w of all labels,

    .. math::
        h_v^0 &= F_I([x; w_v]), \qquad m_v^t = \sum_r \sum_{u \to_r v} F_r([w_u; w_v])\, h_u^{t-1}, \\
        h_v^t &= \mathrm{GRU}(m_v^t, h_v^{t-1}), \qquad y_v = F_O([h_v^T; h_v^0]),

    with a network :math:`F_r` for each relation (:data:`~ctran.methods._word_relations.RELATIONS`), whose output is a matrix.
    No weight belongs to a label, so labels without training pictures have logits too.
    """

    label_parameters = frozenset({"words.vectors"})
    statistics = frozenset({"relations"})
    relations: Tensor
    fixed: Tensor | None

    def __init__(self, backbone: Backbone, config: Config, num_labels: int) -> None:
        super().__init__()
        self.backbone, self.config = backbone, config
        self.words = WordVectors(config, num_labels)
        self.register_buffer("relations", torch.zeros(len(RELATIONS), num_labels, num_labels, dtype=torch.bool))
        self.register_buffer("fixed", None, persistent=False)
        size, hidden = config.state_dim, config.hidden_dim
        self.start = _network(backbone.channels + config.word_dim, hidden, size)
        self.messages = nn.ModuleList(_network(2 * config.word_dim, hidden, size * size) for _ in RELATIONS)
        self.update = nn.GRUCell(size, size)
        self.output = _network(2 * size, hidden, 1)

    def fit_statistics(self, table: SampleTable) -> None:
        """Word vectors of the labels and their relations.

        Raises:
            UserError: no source of either is named, or a label is in neither.
        """
        if self.config.wordnet is None:
            raise UserError(
                f"model.wordnet: the method needs the folder of WordNet's files: {PLACE}; or labels, for the implications of "
                "the recipe as the only relations"
            )
        self.words.fill(table.labels)
        nouns = None if self.config.wordnet == "labels" else Nouns(Path(self.config.wordnet))
        senses = texts_of_labels("model.synsets", self.config.synsets, "")
        bounds = (self.config.negative_similarity, self.config.positive_similarity)
        self.relations.copy_(relations(table.labels, nouns, senses, bounds))

    def propagation(self) -> Float[Tensor, "N N"]:
        """What all states, ``N = L state_dim`` numbers, send to all states in one step, as one matrix."""
        if self.fixed is not None:
            return self.fixed
        labels, size = len(self.words.vectors), self.config.state_dim
        found = self.words.vectors.new_zeros(labels * labels, size, size)
        for related, network in zip(self.relations, self.messages, strict=True):
            to, sender = related.nonzero(as_tuple=True)
            sent = network(torch.cat([self.words.vectors[sender], self.words.vectors[to]], dim=1)).to(found.dtype)
            found = found.index_put((to * labels + sender,), sent.unflatten(1, (size, size)), accumulate=True)
        return found.unflatten(0, (labels, labels)).transpose(1, 2).flatten(2).flatten(0, 1)

    def precompute(self) -> None:
        self.fixed = self.propagation().detach()

    @property
    def export_obstacle(self) -> str:
        """The matrix of messages is exported in the place of the networks, where it is no larger than all weights."""
        most = sum(parameter.numel() for parameter in self.parameters())
        return "" if (len(self.relations[0]) * self.config.state_dim) ** 2 <= most else "it has too many labels for that"

    def stored(self, features: Features) -> Features:
        """The average of the image tokens, which is all that is used."""
        return Features(features.tokens.mean(dim=1, keepdim=True), (1, 1))

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        first = self._start(features.tokens.to(self.words.vectors.dtype).mean(dim=1))
        matrix, state = self.propagation().T, first
        for _ in range(self.config.graph_steps):
            received = (state.flatten(1) @ matrix).unflatten(1, state.shape[1:])
            state = self.update(received.flatten(0, 1), state.flatten(0, 1)).unflatten(0, state.shape[:2])
        return self.output(torch.cat([state, first], dim=2))[..., 0]

    def _start(self, pooled: Float[Tensor, "B C"]) -> Float[Tensor, "B L S"]:
        """States before the first step; the first layer is applied to pictures and words apart."""
        first, *rest = self.start
        assert isinstance(first, nn.Linear)
        image, word = first.weight.split([pooled.shape[1], self.words.vectors.shape[1]], dim=1)
        hidden = F.linear(pooled, image)[:, None] + F.linear(self.words.vectors, word, first.bias)
        return nn.Sequential(*rest)(hidden)

    def label_embeddings(self) -> Float[Tensor, "L W"]:
        """The word vectors."""
        return self.words.vectors.detach()


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def build(config: Config, labels: LabelSpace) -> MLZSL:
    """The model with random weights, before it has word vectors and relations."""
    return MLZSL(backbone_of(config), config, len(labels))
