"""docs/routers.md says what the metadata of the installed houses say."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from routers import page  # noqa: E402


def test_the_table_of_routers_is_what_the_houses_say() -> None:
    """To renew it: python tests/docs/routers.py > docs/routers.md."""
    assert (ROOT / "docs/routers.md").read_text(encoding="utf-8") == page()


def test_every_router_has_a_family() -> None:
    """It is the second keyword of the house, and `auto` stands first."""
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `")]
    routers = [row for row in rows if len(row) == 8]

    assert routers[0][0] == "| `auto`"
    assert [row[0] for row in routers if row[1] in ("-", "")] == []
