"""The names that are not ours are those of OpenTelemetry's conventions."""

import pytest
from llmrouter_plugin_otel import names


def test_every_foreign_name_is_in_the_conventions() -> None:
    """Compared with the constants that OpenTelemetry publishes."""
    base = "opentelemetry.semconv"
    known = {names.CHAT}
    for module in (
        f"{base}._incubating.attributes.gen_ai_attributes",
        f"{base}.attributes.error_attributes",
        f"{base}.attributes.http_attributes",
    ):
        known |= {v for v in vars(pytest.importorskip(module)).values() if isinstance(v, str)}
    ours = {value for name, value in vars(names).items() if name.isupper()}
    foreign = {name for name in ours if not name.startswith("llmrouter")}

    assert len(foreign) > 20
    assert foreign - known == set()
