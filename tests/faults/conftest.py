"""Fixtures of collections and trainings, which are tried on a full disk too."""

from tests.collection.conftest import job, model, photos
from tests.training.test_resume import recipe

__all__ = ["job", "model", "photos", "recipe"]
