"""What a real browser makes of the page, measured in it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from llmrouter_core.cli.group import llmrouter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--virtual-time-budget=2000",
)
MEASURE = """<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const shown = [...page.querySelectorAll("svg.plot")].filter(svg => svg.getClientRects().length);
  const texts = shown.flatMap(svg => [...svg.querySelectorAll("text:not(.axis)")]);
  const frames = shown.map(svg => svg.getBoundingClientRect());
  const boxes = texts.map(text => text.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 4 && b.top < a.bottom - 4;
  const overlaps = [];
  boxes.forEach((a, i) => boxes.slice(0, i).forEach((b, j) => {
    if (meet(a, b)) overlaps.push([texts[i].textContent, texts[j].textContent]);
  }));
  const outside = texts.filter((_, i) => boxes[i].left < frames[0].left - 1
    || boxes[i].right > frames[0].right + 1).map(text => text.textContent);
  document.body.textContent = JSON.stringify({
    wide: page.documentElement.scrollWidth, plots: shown.length, names: texts.length,
    overlaps, outside, paper: page.defaultView.getComputedStyle(page.body).backgroundColor,
  });
});
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]


def measured(page: str, width: int, folder: Path, *flags: str) -> dict[str, Any]:
    """Return what a browser measures on *page*, shown *width* pixels wide."""
    inside = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*/>', "", page)
    frame = f'<iframe width="{width}" height="2000" srcdoc="{html.escape(inside)}"></iframe>'
    file = folder / "outside.html"
    file.write_text(f"<!DOCTYPE html>{frame}{MEASURE}", encoding="utf-8")
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    found = subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(html.unescape(re.search(r"<body>(\{.*\})", found.stdout)[1]))


@pytest.mark.parametrize(("width", "models"), [(1000, 6), (1000, 40), (360, 6), (360, 40)])
def test_names_stand_apart_and_no_page_is_wider_than_its_screen(
    width: int, models: int, whole: Callable[..., Any], written: Any, tmp_path: Path
) -> None:
    """On a desk and on a phone; one of the two plots is shown."""
    file = tmp_path / "page.html"
    folder = written(whole(models))
    CliRunner().invoke(llmrouter, ["report", str(folder), "--html", str(file)])
    found = measured(file.read_text(encoding="utf-8"), width, tmp_path)

    assert found["plots"] == 1
    assert found["names"] > 10
    assert found["overlaps"] == []
    assert found["outside"] == []
    assert found["wide"] <= width


def test_a_dark_screen_gets_a_dark_page(
    whole: Callable[..., Any], written: Any, tmp_path: Path
) -> None:
    """The browser's wish is followed."""
    file = tmp_path / "page.html"
    CliRunner().invoke(llmrouter, ["report", str(written(whole())), "--html", str(file)])
    page = file.read_text(encoding="utf-8")
    light = measured(page, 800, tmp_path)
    dark = measured(page, 800, tmp_path, "--blink-settings=preferredColorScheme=0")

    assert light["paper"] == "rgb(255, 255, 255)"
    assert dark["paper"] == "rgb(20, 23, 27)"
