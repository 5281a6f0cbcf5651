"""What speaks HTTP does so on each transport that is installed."""

import pytest
from llmrouter_plugin_openai import transport as transports


@pytest.fixture(autouse=True, params=transports.NAMES)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make this the only transport there is, and give its name."""
    name: str = request.param
    pytest.importorskip(name)
    monkeypatch.setattr(transports, "installed", lambda: [name])
    return name
