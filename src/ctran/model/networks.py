"""``timm``, imported without PyTorch's compiler.

timm imports torchvision, and two of the modules that come along import ``torch._dynamo`` (PyTorch's compiler, with sympy and
much of ``torch.distributed``) for one function each, which takes nearly as long as PyTorch itself: about two seconds before the
first prediction. While timm is imported, stand-ins of these two functions import the compiler when they are first called.
Neither PyTorch nor torchvision has an option for that, and timm cannot be imported without torchvision: the names are those
that torchvision 0.29 imports, and ``tests/test_startup.py`` fails when a release needs others.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch


def _is_compile_supported(device_type: str) -> bool:
    """``torch._dynamo.utils.is_compile_supported``, imported when it is called."""
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


def _disable(fn: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Any:
    """``torch.compiler.disable``, whose compiler is imported when the function that it decorates is called."""
    if fn is None:
        return functools.partial(_disable, *args, **options)

    @functools.cache
    def disabled() -> Callable[..., Any]:
        import torch._dynamo

        return torch.compiler.disable(fn, *args, **options)

    @functools.wraps(fn)
    def call(*inputs: Any, **named: Any) -> Any:
        return disabled()(*inputs, **named) if "torch._dynamo" in sys.modules else fn(*inputs, **named)

    call._torchdynamo_disable = True  # pyright: ignore[reportAttributeAccessIssue]
    return call


@contextmanager
def without_compiler() -> Iterator[None]:
    """Imports in this block do not import ``torch._dynamo``; where it is imported already, nothing is done."""
    if "torch._dynamo" in sys.modules:
        yield
        return
    package, utils = ModuleType("torch._dynamo"), ModuleType("torch._dynamo.utils")
    package.__path__ = []
    package.disable = _disable  # pyright: ignore[reportAttributeAccessIssue]
    package.utils = utils  # pyright: ignore[reportAttributeAccessIssue]
    utils.is_compile_supported = _is_compile_supported  # pyright: ignore[reportAttributeAccessIssue]
    stand_ins = {module.__name__: module for module in (package, utils)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
        if "_dynamo" in vars(torch):
            delattr(torch, "_dynamo")


def _import_timm() -> ModuleType:
    """``timm``, after a first import without the compiler.

    Should a release of timm or torchvision need more of the compiler than the stand-ins have, it is imported as usual.
    """
    if "timm" not in sys.modules:
        before = set(sys.modules)
        try:
            with without_compiler():
                import timm
        except (ImportError, AttributeError):
            for name in set(sys.modules) - before:
                if name.partition(".")[0] in ("timm", "torchvision"):
                    del sys.modules[name]
    import timm

    return timm


timm = _import_timm()
