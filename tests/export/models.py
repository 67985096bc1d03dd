"""Small models of every kind, and pictures for them."""

from ctran.export.pictures import Pictures, find_pictures
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, stirred
from tests.networks import SMALLEST

MODELS = {
    "full": ["--model.num_layers", "2"],
    "image_first": ["--model.num_layers", "2", "--model.attention", "image_first"],
    "latent, all options": [
        *("--model.num_layers", "2", "--model.attention", "latent", "--model.num_latents", "3"),
        *("--method", "anchored", "--model.soft_states", "true"),
        *("--model.positive_bias", "5", "--model.image_bias", "-2"),
    ],
    "full, all options": [
        *("--method", "anchored", "--model.soft_states", "true", "--model.positions", "sine"),
        *("--model.positive_bias", "5", "--model.image_bias", "-2"),
    ],
    "no image": ["--method", "anchored", "--model.use_image", "false"],
    "no states": ["--model.use_states", "false"],
    "linear": ["--method", "linear"],
    "pairwise": ["--method", "pairwise"],
    "residual": ["--method", "residual", "--model.num_layers", "1", "--training.epochs", "3"],
}
TOY_LINEAR = TOY[:8]
"""Those of the flags that every method has."""


def build(name, labels, *flags):
    """A model in which no weight is 0 or 1, as none is in a trained one; ``flags`` come after those of its kind."""
    toy = TOY_LINEAR if name in ("linear", "pairwise") else TOY
    return stirred(build_tagger(read_recipe(None, [*toy, *SMALLEST, *MODELS[name], *flags]), labels))


def pictures_of(tagger, files):
    return Pictures(find_pictures([files]), tagger.preprocessing)
