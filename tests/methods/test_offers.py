"""What others ask of a method, by a small method that has it, and by one that has not."""

import pytest
import torch
from torch import nn

from ctran.errors import UserTypeError
from ctran.folders.tagger import Tagger
from ctran.images.transforms import Preprocessing
from ctran.labels import LabelSpace
from ctran.model import Backbone, Method
from ctran.plots.embeddings import label_embeddings
from ctran.training.pipeline import prior_bias
from tests.data.truths import sparse


class Plain(Method):
    """Offers nothing."""

    def __init__(self):
        super().__init__()
        self.backbone = Backbone("test_resnet")


class Vectors(Plain):
    """Offers all, under names of its choice."""

    def __init__(self):
        super().__init__()
        self.vectors, self.start = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.zeros(2))

    def label_embeddings(self):
        return self.vectors.detach()

    def set_prior(self, log_odds):
        self.start.data.copy_(log_odds)


def tagger_of(model):
    return Tagger(model, LabelSpace(("a", "b")), {"method": "toy"}, Preprocessing(64, "pad", (0.5,) * 3, (0.5,) * 3))


def test_any_method_may_have_vectors_of_labels_and_a_prior():
    model = Vectors()
    assert torch.equal(label_embeddings(tagger_of(model)), model.vectors)
    prior_bias(model, sparse([[2, 0], [2, 0], [1, 2], [1, 1]]))
    assert model.start.sigmoid().tolist() == pytest.approx([2.5 / 5, 1.5 / 3])


def test_what_a_method_does_not_offer_is_refused_by_name():
    with pytest.raises(UserTypeError, match="method 'test_offers' has no label embeddings"):
        label_embeddings(tagger_of(Plain()))
    with pytest.raises(UserTypeError, match=r"training.prior_bias needs a bias .* which method 'test_offers' does not have"):
        prior_bias(Plain(), sparse([[2, 0], [1, 1]]))
    with pytest.raises(UserTypeError, match="checkpointing needs an encoder, which method 'test_offers' does not have"):
        Plain().checkpoint_activations()
