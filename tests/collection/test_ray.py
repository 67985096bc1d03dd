"""The Ray engine: refused where Ray is not installed; the same rows, also when a node is killed in the middle."""

import subprocess
import sys
from dataclasses import replace

import pytest

from ctran.cli.main import main
from ctran.collection.run import run
from tests.collection.conftest import NAMES, part_files, rows, same


def test_without_ray_the_command_states_what_to_install(model, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["predict", str(model), "--input", str(photos), "--output", str(tmp_path / "out"), "--engine", "ray"]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert "ray" in err and 'pip install "ctran[ray]"' in err and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_node_that_is_killed_in_the_middle_costs_no_row(job, photos, tmp_path):
    table = photos / "many.csv"
    table.write_text("\n".join(["file_name", *(NAMES[number % 7] for number in range(160)), "gone.png"]))
    job = replace(job, input=str(table), batch_size=4)
    run(replace(job, output=str(tmp_path / "undisturbed")))
    command = [sys.executable, "-m", "tests.collection.two_nodes", job.run, job.input, job.output]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "nodes alive: 1\n" in done.stdout, done.stdout[-3000:]
    for table in ("predictions", "errors"):
        assert same(rows(job.output, table), rows(tmp_path / "undisturbed", table))
        assert len(part_files(job.output, table)) == len(part_files(tmp_path / "undisturbed", table))
