"""Every error of every route has one body: a text that names the place and the reason."""

import json

import pytest
from fastapi.routing import APIRoute

from ctran.serving import images, label_studio, reload, studio
from ctran.serving.api import upkeep
from ctran.serving.response_bodies import Problem
from tests.serving.conftest import encoded

JSON = {"Content-Type": "application/json"}
ROUTES = {
    (method.lower(), route.path): route
    for router in (images.router, studio.router, studio.page, label_studio.router, reload.router, upkeep)
    for route in router.routes
    if isinstance(route, APIRoute) and route.include_in_schema
    for method in route.methods
}
WITH_JSON = [key for key, route in ROUTES.items() if route.body_field is not None]


@pytest.fixture(scope="module")
def document(untouched_tagger):
    from ctran.serving.api import create_app

    return create_app(untouched_tagger).openapi()


@pytest.fixture
def call(client):
    """Send something to a route; the response has the one body of errors, whose text is given back."""
    picture = client.post("/v1/images", content=encoded()).json()["id"]
    values = {"image": picture, "label": "flag", "number": "0"}

    def send(method, path, replaced=None, **sent):
        path = path.replace(":path}", "}").format(**(values | (replaced or {})))
        response = client.request(method.upper(), path, **sent)
        assert 400 <= response.status_code < 500, f"{path}: {response.status_code} {response.text[:200]}"
        assert set(response.json()) == set(Problem.model_fields) == {"detail"}, response.text
        return Problem.model_validate_json(response.content, strict=True).detail

    return send


def schema_of(document, key):
    """Properties and required names of a route's JSON body."""
    method, path = key
    [content] = document["paths"][path.replace(":path}", "}")][method]["requestBody"]["content"].values()
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema.get("properties", {}), schema.get("required", [])


def wrong(schema):
    """A value that a property cannot have: a list in a list, or a number for lists of anything."""
    return 0.5 if schema.get("type") == "array" else [[0.5]]


def test_the_routes_are_those_of_the_document_and_every_error_has_the_same_schema(document):
    found = {(method, path) for path, each in document["paths"].items() for method in each}
    assert {(method, path.replace(":path}", "}")) for method, path in ROUTES} == found
    assert len(WITH_JSON) >= 10 and not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])
    for path, each in document["paths"].items():
        for method, operation in each.items():
            for status, response in operation["responses"].items():
                if status >= "400":
                    ref = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                    conflict = status == "409" and path.endswith("/save")
                    assert ref == ("Conflicts" if conflict else "Problem"), (method, path, status)


@pytest.mark.parametrize("key", WITH_JSON, ids=" ".join)
def test_a_body_that_is_not_json_is_refused_in_one_form(key, call):
    assert "the body is not JSON: Expecting" in call(*key, content="{", headers=JSON)
    assert call(*key, content=b'{"\xff": 1}', headers=JSON)
    assert "Content-Type: application/json, got no type" in call(*key, content="{}")
    assert "the body: " in call(*key, content='["text"]', headers=JSON)
    assert "the body: Field required" in call(*key, content="", headers=JSON)


@pytest.mark.parametrize("key", WITH_JSON, ids=" ".join)
def test_a_wrong_type_and_a_missing_field_are_named_in_one_form(key, call, document):
    properties, required = schema_of(document, key)
    assert properties or key == ("post", "/webhook")
    for name, schema in properties.items():
        assert name in call(*key, json={name: wrong(schema)})
    if required:
        detail = call(*key, json={})
        assert all(f"{name}: Field required" in detail for name in required)


def test_wrong_parameters_are_named_in_one_form(call, document):
    seen = set()
    for key in ROUTES:
        for each in document["paths"][key[1].replace(":path}", "}")][key[0]].get("parameters", []):
            if "integer" in json.dumps(each["schema"]):
                place, name = each["in"], each["name"]
                sent = {"replaced": {name: "x"}} if place == "path" else {"params": {name: "x"}}
                body = {"json": {}} if key in WITH_JSON else {}
                assert f"{place} {name}: Input should be a valid integer" in call(*key, **sent, **body)
                seen.add((place, name))
    assert {("query", "side"), ("query", "limit"), ("path", "number")} <= seen


def test_addresses_and_methods_that_do_not_exist_have_the_same_form(call):
    assert call("get", "/nowhere") == call("get", "/static/nothing.js") == "Not Found"
    assert call("delete", "/v1/model") == "Method Not Allowed"


def test_the_place_is_the_part_that_was_sent_and_each_reason_is_given_once(call):
    route = ("post", "/v1/images/{image}/predict")
    assert call(*route, json={"thresholds": "x"}).startswith("thresholds: Input should be a valid number")
    assert "thresholds.flag: Input should be greater" in call(*route, json={"thresholds": {"flag": -1}})
    assert call("post", "/v1/predict", json={"images": [{"data": 3}]}) == "images[0].data: Input should be a valid string"
    long = call(*route, json={"known": {"x" * 5000: 1}})
    assert len(long) < 300 and " ... " in long


def test_an_error_names_at_most_twenty_places():
    from fastapi.exceptions import RequestValidationError

    from ctran.serving.refused import SHOWN, explain

    errors = [{"loc": ("body", str(n)), "msg": "wrong", "type": "x"} for n in range(SHOWN + 5)]
    text = explain(RequestValidationError(errors, body={str(n): 0 for n in range(SHOWN + 5)}), "application/json")
    assert text.count("wrong") == SHOWN and text.endswith("; and 5 more")
