"""A model beside its parts."""

import pytest

from ctran.analysis.candidates import candidates, markdown
from ctran.masking import EvalSetting
from ctran.training.pipeline import build_tables, build_tagger
from tests.methods.test_statistics import recipe_of

SETTINGS = [EvalSetting(0.0), EvalSetting(0.5)]


@pytest.mark.parametrize("method", ["ctran", "pairwise"])
def test_only_a_model_with_parts_is_compared_and_of_others_no_picture_is_encoded(method, folder, monkeypatch):
    recipe = recipe_of(method, folder)
    table = build_tables(recipe)["val"]
    tagger, encoded = build_tagger(recipe, table.labels), []
    original = tagger.model.encode_images
    monkeypatch.setattr(tagger.model, "encode_images", lambda images: encoded.append(len(images)) or original(images))
    found = candidates(tagger, table, SETTINGS)
    if method == "ctran":
        assert found == [] and encoded == []
        return
    assert [each.name for each in found] == ["linear", "pairwise"] and sum(encoded) == len(table)  # each picture once
    assert all(len(each.mAP) == len(each.log_loss) == 2 and min(each.log_loss) > 0 for each in found)
    assert markdown(found, SETTINGS, len(table)).count("\n| ") == 3
