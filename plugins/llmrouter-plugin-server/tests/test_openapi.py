"""The OpenAPI document describes what is there, and schemathesis finds nothing that breaks it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.openapi import document

from .gateways import Running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports
    schemathesis = pytest.importorskip("schemathesis")

schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with Running(options=ServerOptions(insecure=True)) as running:
        yield running


def test_every_path_is_described_and_every_description_is_there(served: Running) -> None:
    described = {path.replace("{model}", "*") for path in document()["paths"]}

    assert described == set(served.gateway._endpoints)
    assert served.ask("/openapi.json").json == document()


@schema.parametrize()
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_no_request_of_the_document_breaks_it(case: Any, served: Running) -> None:
    answer = case.call(base_url=served.url)

    assert answer.status_code < 500
    case.validate_response(
        answer,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.specs.openapi.checks.status_code_conformance,
            schemathesis.specs.openapi.checks.content_type_conformance,
        ],
    )
