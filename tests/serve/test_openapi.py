"""The OpenAPI document: it has every route, every reference leads somewhere, and a key stands where one is needed."""

from __future__ import annotations

import json
import re

from bertworks.serve.openapi import document
from bertworks.serve.routes import all_endpoints
from tests.serve.models import Running


def test_the_document_has_every_route_and_no_dead_reference(server: Running) -> None:
    found = server.ask("GET", "/openapi.json").json
    routes = {(e.path, e.method.lower()) for e in all_endpoints(with_key=False) if e.answer is not None}
    assert {(path, method) for path, methods in found["paths"].items() for method in methods} == routes
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert references == set(found["components"]["schemas"])
    names = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert "securitySchemes" not in found["components"]


def test_routes_that_need_a_key_or_change_models_say_so() -> None:
    found = document(all_endpoints(with_key=True, allow_changes=True), with_key=True)
    without = {path for path, methods in found["paths"].items() if not any("security" in o for o in methods.values())}
    assert without == {"/docs", "/health"}
    assert "401" in found["paths"]["/embed"]["post"]["responses"]
    assert "401" not in found["paths"]["/"]["get"]["responses"]
    assert "delete" in found["paths"]["/v1/models/{model}"]
