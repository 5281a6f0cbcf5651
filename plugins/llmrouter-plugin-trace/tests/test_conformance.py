"""The house keeps every promise that the conformance kit knows."""

import os

from llmrouter_core.testing import conformance

test_conformance = conformance("llmrouter-plugin-trace", trace={"path": os.devnull})
