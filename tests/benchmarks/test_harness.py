"""The harness measures what it says."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks.harness import MIB, Options, interleave, ratios, spread, verdict
from benchmarks.machine import affordable, ceiling, operations, reached
from benchmarks.memory import peak_memory, training_tensors
from tests.benchmarks.steps import keeper, killed


def test_candidates_take_turns_after_one_round_of_warming_up():
    calls: list[str] = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3}


def test_ratios_are_those_of_the_same_round():
    assert ratios([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]


def test_spread_says_median_least_and_greatest():
    assert spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"
    assert spread([1.5]) == "1.5"


def test_a_target_is_reached_at_its_bound_and_missed_beyond_it():
    assert verdict(2.5, least=2.5, unit=" x") == "at least 2.5 x: reached"
    assert verdict(2.49, least=2.5, unit=" x") == "at least 2.5 x: **missed**"
    assert verdict(0.61, most=0.6) == "at most 0.6: **missed**"
    assert "missed" in verdict(float("nan"), least=1)


def test_operations_of_attention_are_counted():
    q = torch.randn(1, 2, 50, 8)
    attend = partial(torch.nn.functional.scaled_dot_product_attention, q, q, q)
    assert operations(attend) == 2 * (2 * 2 * 50 * 50 * 8)  # two products, two heads, two operations each


def test_operations_of_stock_attention_are_counted_in_inference_too():
    stock, h = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.randn(1, 50, 8)
    with torch.inference_mode():
        assert operations(lambda: stock(h, h, h)) == 2 * 50 * 8 * 8 * 4 + 2 * (2 * 50 * 50 * 8)  # four maps, two products


def test_the_share_of_the_ceiling_is_work_over_time():
    assert reached(work=3e9, time_s=0.5, limit=24.0) == "6 GFLOP/s, 25 %"


@pytest.mark.parametrize(
    ("rate", "side"),
    [(500e9, 2048), (30e9, 2048), (1.2e9, 512), (1e6, 256)],
    ids=["AVX-512", "float32 of an old processor", "bfloat16 in software", "slower than anything"],
)
def test_the_matrices_of_the_ceiling_fit_the_processor_s_speed(rate: float, side: int):
    tried: list[int] = []

    def product_s(side: int) -> float:
        tried.append(side)
        return 2 * side**3 / rate

    assert affordable(product_s, most=2048, limit_s=1.0) == side
    assert all(2 * each**3 / rate <= 1.0 for each in tried[1:])  # after the first, no product was begun that takes longer


def test_the_ceiling_is_measured_within_its_time(capsys: pytest.CaptureFixture[str]):
    start = time.process_time()
    found = ceiling(2048, repeats=2, limit_s=0.01)
    assert time.process_time() - start < 5  # 2,048 in bfloat16 without instructions for it: 17 s a product
    assert all(rate > 0 for rate in found.values())
    assert "GFLOP/s float32" in capsys.readouterr().err


def test_memory_of_a_step_is_its_own_and_not_what_stood_before():
    found = peak_memory(keeper, 96, 32, options=Options(threads=1))
    assert found["held"] == 32 * MIB
    assert found["saved"] == 32 * MIB
    assert 120 * MIB <= found["activations"] <= 150 * MIB


def test_a_measured_process_that_is_killed_is_an_error_that_names_it():
    with pytest.raises(MemoryError, match=r"measured killed\(\) was ended.*try a smaller size"):
        peak_memory(killed, options=Options(threads=1))


def test_training_tensors_are_weights_gradients_and_adam_s_two_moments():
    layer = torch.nn.Linear(10, 10)
    before = layer.weight.detach().clone()
    tensors = training_tensors(layer, torch.optim.Adam(layer.parameters()))
    assert sum(t.numel() for t in tensors if t.ndim) == 4 * 110
    torch.testing.assert_close(layer.weight.detach(), before)  # the step that makes the moments moves nothing


@pytest.fixture
def results() -> dict[str, Any]:
    return {"jpeg": {"kept": True}}


def test_a_result_replaces_its_own_entry_alone(tmp_path: Path, results: dict[str, Any]):
    path = tmp_path / "performance.json"
    path.write_text(json.dumps(results | {"train_step": "old"}))
    program.measure("train_step", Options(repeats=1, threads=1, tiny=True), tmp_path)
    found = json.loads(path.read_text())
    assert found["jpeg"] == results["jpeg"]
    assert found["train_step"]["machine"]["threads"] == 1
    assert set(found["train_step"]["ceiling"]) == {"float32", "bfloat16"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forwards"], "no benchmark 'forwards'; expected all, or some of forward,"),
        ([], "name benchmarks to run, or give --write-only"),
        (["forward", "--write-only"], "name benchmarks to run, or give --write-only"),
        (["forward", "--repeats", "0"], "take numbers from 1 on"),
        (["forward", "--tiny"], "give another --folder"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        program.main(arguments)
    assert message in capsys.readouterr().err
