"""What the documentation shows, works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from llmrouter_core.catalogue import discover
from llmrouter_core.config import expand
from llmrouter_core.tables import parse

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@frozen
class Block:
    """A fenced block: its language, its code and the line it starts on."""

    language: str
    code: str
    line: int


def pages() -> list[Path]:
    """Return every page a user reads: the READMEs and docs/."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    found += ROOT.glob("plugins/*/README.md")
    return sorted(found)


def blocks(page: Path, language: str) -> list[Block]:
    """Return the fenced blocks of *language* on *page*, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in _BLOCK.finditer(text)
        if match[1] == language
    ]


def name(page: Path) -> str:
    """Return how a test's id calls *page*."""
    return page.relative_to(ROOT).as_posix()


def having(language: str) -> list[Path]:
    return [page for page in pages() if blocks(page, language)]


@pytest.mark.parametrize("page", having("python"), ids=name)
def test_python_on_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is one program; line numbers in a failure are those of the page."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page, "python"):
        code = compile("\n" * block.line + block.code, str(page), "exec")
        exec(code, namespace)
    for value in namespace.values():
        close = getattr(value, "close", None)
        if type(value).__name__ == "LLMRouter" and close is not None:
            close()


@pytest.mark.parametrize("page", having("toml"), ids=name)
def test_toml_on_a_page_is_valid_config(page: Path) -> None:
    """Every block has known tables; one headed `# router.toml` loads as it stands."""
    for block in blocks(page, "toml"):
        tables = parse(block.code.encode(), f"{page}:{block.line}")
        if "project" in tables or "build-system" in tables:
            continue  # a pyproject.toml
        expand(tables, f"{page}:{block.line}", discover(), trusted=False)


@pytest.mark.parametrize("page", having("toml"), ids=name)
def test_a_config_headed_router_toml_can_be_checked(page: Path, tmp_path: Path) -> None:
    """A whole config on a page passes `llmrouter check`."""
    for block in blocks(page, "toml"):
        if not block.code.startswith("# router.toml"):
            continue
        config = tmp_path / "router.toml"
        config.write_text(block.code, encoding="utf-8")
        run = _run(f"llmrouter check {config.name}", tmp_path)

        assert run.returncode == 0, f"{page}:{block.line}\n{run.stderr}"


@pytest.mark.parametrize("page", having("console"), ids=name)
def test_commands_on_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    """Every `$ llmrouter …` line exits with 0, in a folder that the page fills as it goes."""
    for block in blocks(page, "console"):
        for command in re.findall(r"^\$ (llmrouter .*)$", block.code, re.MULTILINE):
            run = _run(command, tmp_path)

            assert run.returncode == 0, f"{page}:{block.line}: {command}\n{run.stderr}"
            assert "Traceback" not in run.stderr


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PATH": path, "OPENROUTER_API_KEY": "not-a-real-key"},
    )
