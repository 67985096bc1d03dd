"""Methods that ignore known labels: their logits are computed once for each picture."""

from dataclasses import replace

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.model import Features, Method
from ctran.model.attention import repeat_rows


class StateFree(Method):
    """A method whose logits depend on the picture alone; a subclass defines :meth:`scores`.

    :meth:`prepare` computes them, so other known labels cost nothing, and an exported model computes them where it encodes.
    """

    uses_states = False

    def scores(self, features: Features) -> Float[Tensor, "B L"]:
        """Logits of each picture."""
        raise TypeError(f"{type(self).__name__} does not define how it scores labels")

    def prepare(self, features: Features) -> Features:
        """The features with the pictures' logits as image cache."""
        return replace(features, image_cache={"scores": self.scores(features)})

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Logits; the same for all ``states``."""
        features.rows_each(states)  # raises if the images do not divide the rows
        scores = self.scores(features) if features.image_cache is None else features.image_cache["scores"]
        return repeat_rows(scores, states.shape[0])
