"""The page and the code say the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from llmrouter_core import testing
from llmrouter_core.testing.checks import CHECKS, page

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_page_lists_every_check_with_its_rule() -> None:
    """The list ends the page; `python -m llmrouter_core.testing` prints it."""
    text = PAGE.read_text(encoding="utf-8")

    assert text.partition("## The rules\n\n")[2] == page()
    assert text.count("\n- `") == len(CHECKS)


def test_the_page_names_every_toy() -> None:
    """What is public is on the page."""
    text = PAGE.read_text(encoding="utf-8")

    assert [name for name in testing.__all__ if f"`{name}" not in text] == ["conformance"]
    assert "conformance(" in text
    assert sorted(testing.__all__) == testing.__all__


def test_only_the_kit_imports_pytest() -> None:
    """Core works where pytest is not installed."""
    code = "import llmrouter_core, llmrouter_core.cli, sys; sys.exit('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
