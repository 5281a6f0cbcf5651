"""The house keeps every promise that the conformance kit knows."""

import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from llmrouter_core.testing import conformance


@contextmanager
def random_encoder() -> Iterator[dict[str, str]]:
    """Write an encoder with random weights."""
    tiny = runpy.run_path(str(Path(__file__).with_name("tiny.py")))
    with TemporaryDirectory() as folder:
        yield {"model": str(tiny["write"](Path(folder)))}


test_conformance = conformance("llmrouter-plugin-minilm", minilm=random_encoder)
