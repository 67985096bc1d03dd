"""How long a click takes in ``ctran studio``, at rest and while a model trains: requests as the page sends them."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.harness import say
from ctran.data.table import SampleTable
from ctran.labels import LabelState

WAIT = 1800.0
"""Seconds that encoding or a training may take."""
WINDOW = "benchmark"
LABEL, NEXT = "a label is set, the others are predicted again", "next picture, teaches most"
REST, TRAINING = "at rest", "while a model trains"


@contextmanager
def studio(folder: Path, run: Path) -> Iterator[str]:
    """``ctran studio`` on a free port: its address."""
    command = [sys.executable, "-m", "ctran", "studio", str(folder), "--port", "0", "--output", str(run)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            yield server.stderr.readline().partition(" at ")[2].partition(" ")[0]
        finally:
            server.terminate()


def measure(table: SampleTable, pictures: int, labelled: int, clicks: int) -> dict[str, Any]:
    """Seconds of clicks in a folder of some pictures, of which some are labelled and learnt from.

    Args:
        clicks: of each kind at rest, and at most while the model trains again.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        folder.mkdir()
        for row in range(pictures):
            (folder / f"{row:05}.png").write_bytes(table.content(row))
        with studio(folder, Path(place) / "run") as address, httpx.Client(base_url=address, timeout=WAIT) as client:
            _until(client, lambda about: about["encoded"] == pictures)
            truth = table.truth.rows(list(range(pictures)))
            _label(client, table, truth, range(labelled))
            _learn(client)
            _until(client, lambda about: about["learning"]["state"] != "running" and about["model"])
            _click(client, labelled, _change(client, table, truth, labelled))  # the first warms up
            seconds: dict[str, list[float]] = {f"{kind}, {when}": [] for when in (REST, TRAINING) for kind in (LABEL, NEXT)}
            for number in range(clicks):
                _both(client, table, truth, labelled + 1 + number % (pictures - labelled - 1), seconds, REST)
            _learn(client)
            busy = psutil.cpu_percent()
            for number in range(clicks):
                if client.get("/v1/folder").json()["learning"]["state"] != "running":
                    break
                _both(client, table, truth, labelled + 1 + number % (pictures - labelled - 1), seconds, TRAINING)
            busy = psutil.cpu_percent()
    where = (
        f"{pictures} pictures, {labelled} of them labelled, {len(table.labels)} labels; {psutil.cpu_count()} cores, which were "
        f"{busy:.0f} % busy while the model trained, load average {psutil.getloadavg()[0]:.1f}. Requests over the loopback "
        "interface; the page draws in addition."
    )
    return {"seconds": seconds, "where": where}


def _both(
    client: httpx.Client, table: SampleTable, truth: Any, number: int, seconds: dict[str, list[float]], when: str
) -> None:
    """One click of each kind."""
    body = _change(client, table, truth, number)
    start = time.perf_counter()
    _click(client, number, body)
    middle = time.perf_counter()
    client.post("/v1/folder/next", json={"order": "teaches"}).raise_for_status()
    seconds[f"{LABEL}, {when}"].append(middle - start)
    seconds[f"{NEXT}, {when}"].append(time.perf_counter() - middle)


def _change(client: httpx.Client, table: SampleTable, truth: Any, number: int) -> dict[str, Any]:
    """A label of a picture that is not known yet, as the annotator sets it."""
    known = client.get(f"/v1/folder/pictures/{number}").raise_for_status().json()["known"]
    free = [i for i, name in enumerate(table.labels.names) if name not in known]
    label = int(np.random.default_rng([number, len(known)]).choice(free))
    return _edit(number, {table.labels.names[label]: bool(truth[number, label] == LabelState.POSITIVE)})


def _edit(number: int, change: dict[str, bool]) -> dict[str, Any]:
    return {"window": WINDOW, "edits": [{"picture": number, "change": change, "base": {}}]}


def _click(client: httpx.Client, number: int, body: dict[str, Any]) -> None:
    """Set a label, and get the prediction given it."""
    client.post("/v1/folder/annotate", json=body).raise_for_status()
    client.get(f"/v1/folder/pictures/{number}").raise_for_status()


def _label(client: httpx.Client, table: SampleTable, truth: Any, rows: range) -> None:
    """Label whole pictures."""
    for number in rows:
        change = {name: bool(truth[number, i] == LabelState.POSITIVE) for i, name in enumerate(table.labels.names)}
        client.post("/v1/folder/annotate", json=_edit(number, change)).raise_for_status()


def _learn(client: httpx.Client) -> None:
    client.post("/v1/folder/learn", json={}).raise_for_status()


def _until(client: httpx.Client, done: Any) -> None:
    """Wait for the background."""
    end = time.monotonic() + WAIT
    while not done(about := client.get("/v1/folder").json()):
        if time.monotonic() > end or about["learning"]["state"] == "failed":
            raise TimeoutError(f"the studio did not get there: {about['learning']}, {about['notes']}")
        time.sleep(0.2)
    say(f"  {about['encoded']} encoded, learning {about['learning']['state']}")
