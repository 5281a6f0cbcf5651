"""The house keeps every promise that the conformance kit knows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from llmrouter_core.testing import conformance, toy_dataset


@contextmanager
def recorded() -> Iterator[dict[str, str]]:
    """Write down an answer of every toy model to every toy query."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "outcomes.jsonl")
        rows = ({**row, "text": "The answer is 42."} for row in toy_dataset(gaps=0).rows())
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        yield {"path": str(path)}


test_conformance = conformance("llmrouter-plugin-replay", replay=recorded)
