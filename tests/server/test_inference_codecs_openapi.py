"""GET /openapi.json says what the worker does: paths that answer, bodies that are answered, refusals that it lists."""

import json

import pytest

from noria import __version__
from tests.server.inference_rig import ONE, PLAIN, SEVERAL, WIDE, Rig

EXAMPLES = {"string": "AA", "number": 1.5, "integer": 3, "boolean": True}


@pytest.fixture(scope="module")
def rigs():
    many = Rig({"late": PLAIN, "several": SEVERAL, "wide": WIDE})
    one = Rig({"half": ONE})
    yield many, one
    many.close()
    one.close()


def document(rig):
    status, _, content = rig.ask("GET", "/openapi.json")
    assert status == 200
    return json.loads(content)


def example(schema):
    """A body that a schema allows, its first alternative."""
    if "oneOf" in schema:
        return example(schema["oneOf"][0])
    if "const" in schema:
        return schema["const"]
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if kind == "object":
        return {name: example(inner) for name, inner in schema["properties"].items()}
    if kind == "array":
        if "prefixItems" in schema:
            return [example(inner) for inner in schema["prefixItems"]]
        return [example(schema["items"])] * schema.get("minItems", 1)
    return EXAMPLES[kind]


def test_it_says_which_version_of_openapi_and_of_noria_it_is(rigs):
    told = document(rigs[0])

    assert told["openapi"] == "3.1.0"
    assert told["info"]["version"] == __version__


@pytest.mark.parametrize("which", [0, 1], ids=["several deployments", "one deployment"])
def test_every_path_answers_as_it_says(rigs, which):
    rig = rigs[which]
    for path, methods in document(rig)["paths"].items():
        if path == "/metrics":
            continue  # needs more of a worker than stands here
        for method, operation in methods.items():
            body = b""
            if method == "post":
                body = json.dumps(example(operation["requestBody"]["content"]["application/json"]["schema"])).encode()
            status, _, content = rig.ask(method.upper(), path, body, {"content-type": "application/json"})
            if path.endswith((":classify", ":regress")):  # for models that can
                assert status in (200, 400), (path, content)
            else:
                assert status == 200, (path, content)
            assert str(status) in operation["responses"]


def test_scoring_without_a_name_is_offered_where_there_is_one_deployment(rigs):
    assert "/invocations" not in document(rigs[0])["paths"]
    assert "/invocations" in document(rigs[1])["paths"]
