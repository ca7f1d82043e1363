"""The service keeps to its OpenAPI description, whatever is sent that it allows, or nearly allows."""

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")

EXAMPLES = 15
ASKED = {f"POST /{name}" for name in ("predict", "answer", "caption", "search", "encode", "accept", "reject")} | {
    "GET /content"
}
SHOWN = {"GET /model", "GET /history", "GET /health", "GET /metrics"}
DECLARED = 503
"""Busy, or nothing learned yet."""


@pytest.fixture(scope="module")
def operations(client):
    """Return what can be asked, by method and path."""
    found = schemathesis.openapi.from_asgi("/openapi.json", client.app).get_all_operations()
    return {operation.label: operation for operation in (each.ok() for each in found)}


def ask(client, operation, mode, examples=EXAMPLES) -> list[int]:
    """Return the status of each answer to what hypothesis makes of an operation."""
    codes = []

    @seed(0)
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def each(case):
        answer = case.call(session=client)
        codes.append(answer.status_code)
        assert answer.status_code < 500 or answer.status_code == DECLARED, (case.as_curl_command(), answer.text)
        case.validate_response(
            answer,
            checks=[
                schemathesis.checks.not_a_server_error,
                schemathesis.checks.response_schema_conformance,
                schemathesis.checks.status_code_conformance,
                schemathesis.checks.content_type_conformance,
            ],
        )

    each()
    return codes


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("label", sorted(ASKED))
def test_what_is_asked_is_answered_or_refused_as_described(client, operations, label, mode):
    codes = ask(client, operations[label], mode)
    assert len(codes) >= 3 and set(codes) <= {200, 400, 404, 409, 422}, codes


def test_what_is_shown_is_shown_as_described(client, operations):
    assert set(operations) == ASKED | SHOWN
    for label in sorted(SHOWN):
        assert set(ask(client, operations[label], "positive", examples=3)) == {200}
