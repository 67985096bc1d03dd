"""A device for tests on machines that have none: its tensors compute on the CPU and refuse what a GPU refuses.

Tensors report the device ``meta``, which needs no driver, but hold values. An operation on tensors of both devices, or
``numpy()`` of one, fails as on a GPU, so a forgotten ``.to`` fails on every machine. No code of this package is replaced.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ctran.model import Features

FAR = torch.device("meta")


class FarTensor(Tensor):
    """Values on the CPU behind a tensor of another device."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> "FarTensor":
        made = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=FAR
        )
        made.inner = inner
        return made

    def tolist(self) -> Any:
        """As of a GPU: the values are copied first."""
        return self.inner.tolist()

    def __repr__(self) -> str:
        return f"FarTensor({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: inputs of one device, the result there, or where ``device`` says."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    far = [x for x in tensors if isinstance(x, FarTensor)]
    if func is torch.ops.aten.copy_.default:  # between devices, as on a GPU
        _inner(args[0]).copy_(_inner(args[1]))
        return args[0]
    indexed = func in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default)
    checked = [args[0], *args[2:]] if indexed else tensors  # a GPU's tensors take indices on the CPU
    if far and any(x.ndim for x in tree_leaves(checked) if isinstance(x, Tensor) and not isinstance(x, FarTensor)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got one on {FAR} and one on the cpu")
    result_is_far = bool(far)
    if kwargs.get("device") is not None:
        result_is_far = torch.device(kwargs["device"]) == FAR
        kwargs = kwargs | {"device": "cpu"}
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    outer = {id(x.inner): x for x in far}  # what works in place gives its own tensor back

    def wrap(x: Any) -> Any:
        if not isinstance(x, Tensor) or not result_is_far:
            return x
        return outer.get(id(x)) if id(x) in outer else FarTensor(x)

    return tree_map(wrap, out)


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, FarTensor) else x


class FarOperations(TorchDispatchMode):
    """Operations with a device among their arguments, and none of their inputs there yet."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class FarData(TorchFunctionMode):
    """``torch.tensor(..., device=FAR)``, which PyTorch makes without an operation: made on the CPU, then moved."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


@contextmanager
def far_device() -> Iterator[None]:
    """Within, tensors can be made on, and moved to, the device. Of one thread."""
    with FarOperations(), FarData():
        yield


@contextmanager
def watched(model: torch.nn.Module) -> Iterator[set[torch.device]]:
    """Devices of all tensors that reach the two calls of a model, and of its weights, gathered as they are made."""
    seen: set[torch.device] = set()
    encode, predict = model.encode_images, model.predict_labels

    def watch(call: Any) -> Any:
        def watched_call(*args: Any, **kwargs: Any) -> Any:
            parts = [*args, *kwargs.values(), *model.parameters(), *model.buffers()]
            parts = [vars(p) if isinstance(p, Features) else p for p in parts]
            seen.update(x.device for x in tree_leaves(parts) if isinstance(x, Tensor))
            return call(*args, **kwargs)

        return watched_call

    model.encode_images, model.predict_labels = watch(encode), watch(predict)
    try:
        yield seen
    finally:
        del model.encode_images, model.predict_labels
