"""The contract of ``tests/asking.py`` for exported folders: probabilities and labels are the same in every runtime."""

import pytest

import ctran
from ctran.export.pictures import Pictures, find_pictures
from ctran.export.write import write
from tests import asking
from tests.networks import SMALLEST

pytestmark = pytest.mark.filterwarnings("ignore:::onnx.*", "ignore:::nncf.*", "ignore:::torch.*", "ignore:::copyreg")


@pytest.mark.parametrize(
    ("form", "method"),
    [("onnx", "linear"), *(pytest.param(form, "ctran", marks=pytest.mark.slow) for form in ("onnx", "openvino", "torch"))],
)
def test_an_exported_folder_gives_the_same_probabilities_and_labels(form, method, tmp_path):
    asked = asking.make(tmp_path, method, *SMALLEST)
    pictures = Pictures(find_pictures([asked.run.with_name("pictures")]), asked.tagger.preprocessing)
    parity = write(asked.tagger, tmp_path / form, form, pictures)
    assert parity.changed == 0
    assert asking.check(asked, asking.said_by(ctran.load(tmp_path / form), asked, within=1e-4)) > 9
