"""Trainings of this folder render no figures, see :func:`tests.conftest.no_rendering`."""

import pytest


@pytest.fixture(autouse=True)
def _unrendered(unrendered: None) -> None:
    pass
