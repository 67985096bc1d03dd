"""Small methods that use one need of the interface each, registered beside the library's own."""

import sys
from pathlib import Path

import pytest

from ctran import methods

TOYS = Path(__file__).parent / "toys"


@pytest.fixture
def toys(monkeypatch):
    """The modules of ``tests/methods/toys`` as files of ``ctran.methods``, as another package's would be."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(TOYS)])
    yield
    for path in TOYS.glob("*.py"):
        sys.modules.pop(f"{methods.__name__}.{path.stem}", None)
        vars(methods).pop(path.stem, None)
