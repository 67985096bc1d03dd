"""Small methods that use one need of the interface each, registered beside the library's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctran import methods

TOYS = Path(__file__).parent / "toys"


@contextmanager
def registered_toys() -> Iterator[None]:
    """The modules of ``tests/methods/toys`` as files of ``ctran.methods``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "__path__", [*methods.__path__, str(TOYS)])
        yield
    for path in TOYS.glob("*.py"):
        sys.modules.pop(f"{methods.__name__}.{path.stem}", None)
        vars(methods).pop(path.stem, None)


@pytest.fixture
def toys():
    """Within a test, :func:`registered_toys`."""
    with registered_toys():
        yield


@pytest.fixture(autouse=True)
def _unrendered(unrendered):
    """No test of this folder looks at a figure."""
