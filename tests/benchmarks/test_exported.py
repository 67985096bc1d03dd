"""The benchmark of exported models runs at toy size. Apart from the others: see the Makefile."""

import pytest
import torch

from benchmarks import exported
from benchmarks.harness import Options
from benchmarks.models import paper_model
from ctran.folders.exported import Graphs
from tests.benchmarks.test_benchmarks import check_table, through_json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:::nncf.*", "ignore:::torch.*", "ignore:::copyreg"),
]


def test_the_benchmark_of_exported_models_runs_and_writes_its_table():
    text = exported.table(through_json(exported.run(Options(repeats=2, threads=1, tiny=True))))
    check_table(text)
    assert "literal" in text and "openvino, int8" in text and "4 x" in text


@torch.no_grad()
def test_what_is_raced_is_the_exported_model_and_not_the_model_itself(tmp_path):
    model = paper_model(num_labels=5, tiny=True, attention="image_first")
    made = exported.exported(model, 64, tmp_path, "openvino", int8=False)
    assert isinstance(made, Graphs)
    image, states = torch.randn(1, 3, 64, 64), torch.eye(5, dtype=torch.long)
    seen, own = made.encode_images(image), model.encode_images(image)
    assert torch.allclose(made.predict_labels(seen, states), model.predict_labels(own, states), atol=1e-4)
