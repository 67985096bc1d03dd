"""A model's ``encode_images`` and ``predict_labels`` as programs of ``torch.export``."""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import InputKind

from ctran.errors import UserError
from ctran.inference.predictor import Predictor
from ctran.model import Features, Method

_PORTS = frozenset({"images", "states", "logits"})
"""Inputs and outputs of the graphs that are not of the image cache."""


def port_of(name: str) -> str:
    """What a tensor of the image cache is called in the graphs: names within one graph must differ."""
    return f"image_{name}" if name in _PORTS else name


class Encode(nn.Module):
    """``images -> image cache``: all that does not depend on the states."""

    def __init__(self, model: Method) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, ...]:
        """The tensors of :func:`image_cache_of`, in its order."""
        return tuple(image_cache_of(self.model.prepare(self.model.encode_images(images))).values())


class Predict(nn.Module):
    """``states, image cache -> logits``, for ``S`` rows of states of each of ``B`` pictures.

    Args:
        names: of the tensors in the image cache.
        grid: of the image tokens.
        prepared: the image cache is that of the method's ``prepare``; False where it is the backbone's image tokens.
    """

    def __init__(self, model: Method, names: tuple[str, ...], grid: tuple[int, int], *, prepared: bool) -> None:
        super().__init__()
        self.model, self.names, self.grid, self.prepared = model, names, grid, prepared

    def forward(self, states: Int[Tensor, "B S L"], *image_cache: Tensor) -> Float[Tensor, "B S L"]:
        """Logits, before any sigmoid."""
        pictures, rows = states.shape[:2]
        tokens = image_cache[0].flatten(1)[:, None] if self.prepared else image_cache[0]  # a stand-in: only its length is read
        named = dict(zip(self.names, image_cache, strict=True)) if self.prepared else None
        logits = self.model.predict_labels(Features(tokens, self.grid, named), states.flatten(0, 1))
        return logits.unflatten(0, (pictures, rows))


def image_cache_of(features: Features) -> dict[str, Tensor]:
    """What ``predict_labels`` needs of pictures: the method's image cache, or the image tokens where it has none.

    Raises:
        TypeError: a method that uses inner maps has no image cache.
    """
    if features.maps and not features.image_cache:
        raise TypeError("a method that uses inner maps keeps what it needs of them in the image cache that its prepare makes")
    return dict(features.image_cache or {"tokens": features.tokens})


@dataclass(frozen=True)
class Programs:
    """Both programs of a model.

    Args:
        encode: ``images [B, 3, H, W]`` -> each tensor of the image cache, ``B`` entries.
        predict: ``states [B, S, L]`` (int64) and the image cache -> ``logits [B, S, L]``.
        image_cache: names of the tensors in the image cache, as inputs and outputs of the graphs (:func:`port_of`).
    """

    encode: ExportedProgram
    predict: ExportedProgram
    image_cache: tuple[str, ...]

    def ports(self, graph: str) -> tuple[list[str], list[str]]:
        """Names of the inputs and of the outputs of one graph."""
        return (["images"], [*self.image_cache]) if graph == "encode" else (["states", *self.image_cache], ["logits"])


@torch.no_grad()
def programs(tagger: Predictor) -> Programs:
    """Programs of a model, in float32; any number of pictures and rows, pictures of the model's own size.

    What depends on the weights alone is computed now, where that makes the file no more than twice as large.

    Raises:
        UserError: a method that is not one forward pass (:attr:`ctran.model.Method.export_obstacle`).
    """
    if why := tagger.model.export_obstacle:
        raise UserError(f"{tagger.kind} cannot be exported: {why}; serve the model folder itself")
    model = copy.deepcopy(tagger.model).cpu().float().eval().requires_grad_(False)
    weights = _size(model)
    precomputed = copy.deepcopy(model)
    precomputed.precompute()
    model = precomputed if _size(precomputed) <= 2 * weights else model
    size = tagger.preprocessing.size
    images = torch.zeros(2, 3, size, size)
    features = model.prepare(model.encode_images(images))
    image_cache = image_cache_of(features)
    names = tuple(image_cache)
    states = torch.zeros(2, 3, len(tagger.labels), dtype=torch.long)  # sizes of 2 and more: 0 and 1 would be frozen
    pictures, rows = {0: Dim("B")}, {0: Dim("B"), 1: Dim.DYNAMIC}
    predict = Predict(model, names, features.grid, prepared=bool(features.image_cache))
    return Programs(
        _bare(export(Encode(model), (images,), dynamic_shapes={"images": pictures})),
        _bare(
            export(
                predict,
                (states, *image_cache.values()),
                dynamic_shapes={"states": rows, "image_cache": tuple(pictures for _ in names)},
            )
        ),
        tuple(port_of(name) for name in names),
    )


def _size(model: nn.Module) -> int:
    """Bytes of all weights and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def _bare(program: ExportedProgram) -> ExportedProgram:
    """The program without sample inputs, and without the weights of the other one."""
    program.example_inputs = None
    unused = {node.name: node for node in program.graph.nodes if node.op == "placeholder" and not node.users}
    kept = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT or spec.arg.name not in unused:
            kept.append(spec)
            continue
        program.graph.erase_node(unused[spec.arg.name])
        assert spec.target is not None  # only inputs of users have no tensor behind them
        program.state_dict.pop(spec.target, None)
        program.constants.pop(spec.target, None)
    program.graph_signature.input_specs = kept
    program.graph_module.recompile()
    return program
