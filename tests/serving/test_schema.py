"""Generated requests (schemathesis): the responses are those that OpenAPI describes, and none is a 5xx but the 503 that asks to
retry."""

import os
from collections import Counter
from contextlib import nullcontext, suppress

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ctran.labelling.studio import Studio
from ctran.serving.annotations import Annotations
from ctran.serving.api import create_app
from ctran.serving.connections import Limits
from ctran.serving.folder_api import create_folder_app
from ctran.serving.gallery import Gallery
from tests.conftest import draw
from tests.serving.conftest import SPACE, encoded
from tests.serving.test_connections import running
from tests.serving.test_folder_api import SMALL

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")  # schemathesis does
COUNT = int(os.environ.get("REQUESTS", "3"))
"""Requests of each kind (of the right form, and not) to each operation; ``make test-faults`` sends more."""
LABELLED = ("known", "base", "thresholds", "costs", "change")
"""Keys of bodies whose value has labels as keys."""


def with_real_names(value, labels, draw_from):
    """A body in which some keys that are labels of nothing are labels of the model."""
    if isinstance(value, dict):
        found = {}
        for key, each in value.items():
            if key in LABELLED and isinstance(each, dict):
                each = dict(zip(draw_from(st.permutations(labels)), each.values(), strict=False))
            elif key in ("label", "name", "to", "into") and isinstance(each, str):
                each = draw_from(st.sampled_from(labels))
            found[key] = with_real_names(each, labels, draw_from)
        return found
    return [with_real_names(each, labels, draw_from) for each in value] if isinstance(value, list) else value


def send_all(app, count, places, labels, *, without=(), fixed=lambda body: body):
    """Send ``count`` requests of the right form and of others to each operation, and check every response.

    Half of them name pictures and labels that there are.

    Args:
        places: name of a part of a path -> values that there are, which an address is asked for.
        without: paths that are left out.
        fixed: changes a body, so that it starts nothing large.

    Returns:
        Number of responses by status.
    """
    load_all_checks()
    statuses = Counter()
    schema = schemathesis.openapi.from_dict(app.openapi())
    with running(app, Limits()) as (port, _, _), requests.Session() as session:
        address = f"http://127.0.0.1:{port}"
        there = places(address)
        for operation in (found.ok() for found in schema.get_all_operations()):
            if operation.path in without:
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @settings(
                    max_examples=count,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
                def send(case, data):
                    if data.draw(st.booleans()):
                        for name in case.path_parameters or {}:
                            case.path_parameters[name] = data.draw(st.sampled_from(there[name]))
                        case.body = with_real_names(case.body, labels, data.draw)
                    case.body = fixed(case.body)
                    response = case.call(base_url=address, session=session, timeout=60)
                    statuses[response.status_code] += 1
                    busy = response.status_code == 503 and "retry-after" in response.headers
                    case.validate_response(response, checks=CHECKS[1:] if busy else CHECKS)

                wrong = mode is GenerationMode.NEGATIVE
                with suppress(Unsatisfiable) if wrong else nullcontext():  # nothing that is sent there could be wrong
                    send()
    return statuses


def test_the_server_gives_the_responses_that_it_describes(tagger, folder):
    annotations = Annotations(folder, SPACE.names)
    app = create_app(tagger, gallery=Gallery.of_folder(annotations), annotations=annotations)

    def places(address):
        sent = requests.post(f"{address}/v1/images", data=encoded(), timeout=60).json()["id"]
        return {"image": [sent], "label": list(SPACE.names), "number": [0, 1, 2]}

    statuses = send_all(app, COUNT, places, list(SPACE.names))
    assert {200, 404, 409, 422} <= statuses.keys(), statuses


def without_learning(body):
    """No training begins while the requests are sent."""
    return body | {"by_itself": False} if isinstance(body, dict) and "by_itself" in body else body


def test_the_studio_of_a_folder_gives_the_responses_that_it_describes(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        draw(photos / f"{number}.png", ["red"], note=str(number))
    studio = Studio(photos, tmp_path / "run", flags=SMALL)
    app = create_folder_app(studio)
    statuses = send_all(
        app,
        COUNT,
        lambda address: {"number": [0, 1, 2]},
        ["red", "blue", "green"],
        without=["/v1/folder/learn"],
        fixed=without_learning,
    )
    assert {200, 404, 422} <= statuses.keys(), statuses
