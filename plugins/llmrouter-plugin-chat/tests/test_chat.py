"""The pages as files, and the command that serves them."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from llmrouter_core.cli.group import llmrouter
from llmrouter_plugin_chat.pages import POLICY, answer, pages

OURS = {path: page for path, page in pages().items() if "/vendor/" not in path}
VENDORED = {
    "markdown-it.esm.min.mjs": "d5432491790141da046b1197353705db03264f40b5727f3b4b591f5aba193e30",
    "purify.es.mjs": "1a06b721ad8b46d6174b21f22ea70290aaf3e5a81d65af3b7178113953f7c9b1",
}

# ---------------------------------------------------------------------- the files


def texts() -> dict[str, str]:
    return {path: page.body.decode() for path, page in OURS.items()}


def test_every_file_that_a_page_names_is_served() -> None:
    named = set()
    for path, text in texts().items():
        named |= set(re.findall(r'(?:href|src)="(/chat/page/[^"#]+)', text))
        if path.endswith(".js"):
            found = re.findall(r'from "\./([^"]+)"', text)
            named |= {f"/chat/page/{name}" for name in found}

    assert len(named) > 15
    assert named <= set(pages())
    assert {"/chat", "/dashboard"} <= set(pages())


def test_every_file_is_named_somewhere() -> None:
    everything = "".join(texts().values())
    unused = [path for path in pages() if path.rpartition("/")[2] not in everything]

    assert unused == ["/chat/page/vendor/LICENSES.txt"]


def test_what_both_pages_share_is_on_both() -> None:
    shared = list(files("llmrouter_plugin_chat").joinpath("page/shared").iterdir())

    assert len(shared) == 3
    for path in ("/chat", "/dashboard"):
        body = pages()[path].body
        assert [piece.name for piece in shared if piece.read_bytes() not in body] == []
        assert b"shared/" not in body


def test_nothing_of_ours_is_inline_or_leads_away() -> None:
    for path, text in texts().items():
        addresses = set(re.findall(r"https?://[\w./-]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path
        if path in ("/chat", "/dashboard"):
            assert re.findall(r"<script(?![^>]* src=)", text) == []
            assert re.findall(r'<style|\sstyle="|\son\w+="', text) == []
        if path.endswith(".js"):
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|Function\(", text
            )


@pytest.mark.parametrize("name", VENDORED)
def test_bundled_parts_are_as_they_were_published(name: str) -> None:
    body = pages()[f"/chat/page/vendor/{name}"].body

    assert hashlib.sha256(body).hexdigest() == VENDORED[name]


def test_bundled_parts_have_their_licences() -> None:
    text = files("llmrouter_plugin_chat").joinpath("page/vendor/LICENSES.txt").read_text("utf-8")

    for name in ("markdown-it", "linkify-it", "mdurl", "uc.micro", "entities", "punycode.js",
                 "Lucide", "DOMPurify"):  # fmt: skip
        assert re.search(rf"^{re.escape(name)}.*\(", text, re.MULTILINE), name


# ---------------------------------------------------------------------- serving them


def test_a_page_comes_with_a_policy_that_allows_nothing_foreign() -> None:
    status, body, headers = answer("GET", "/chat", {})
    found = dict(headers)
    sources = {part.split()[1] for part in POLICY.split("; ") if "-src" in part.split()[0]}

    assert (status, found["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")
    assert found["content-security-policy"] == POLICY
    assert sources == {"'none'", "'self'"}
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"


def test_a_browser_that_has_a_file_is_told_so() -> None:
    tag = dict(answer("GET", "/chat", {})[2])["etag"]

    assert answer("GET", "/chat", {b"if-none-match": tag.encode()})[:2] == (304, b"")
    assert answer("GET", "/dashboard", {b"if-none-match": tag.encode()})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/chat/page/../pages.py",
        "/chat/page/",
        "/chat/page/chat.html",
        "/chat/page/shared/head.html",
        "/",
    ],
)
def test_nothing_but_the_files_is_served(path: str) -> None:
    status, body, headers = answer("GET", path, {})

    assert (status, body) == (404, b"")
    assert dict(headers)["content-security-policy"] == POLICY


def test_a_head_is_a_get_without_the_body_and_nothing_else_is_allowed() -> None:
    status, body, headers = answer("HEAD", "/chat", {})

    assert (status, body) == (200, b"")
    assert headers == answer("GET", "/chat", {})[2]
    assert answer("POST", "/chat", {})[0] == 405


# ---------------------------------------------------------------------- the command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "router.toml"
    file.write_text('[selector]\nuse = "smallest-llm"\n\n[caller.default]\nuse = "sim"\n')
    return file


def test_other_machines_are_not_let_in_without_keys(config: Path) -> None:
    run = CliRunner().invoke(llmrouter, ["chat", str(config), "--host", "0.0.0.0"])

    assert run.exit_code == 2
    assert "so there must be keys" in run.stderr
    assert "--keys" in run.stderr


@pytest.fixture
def served(config: Path, tmp_path: Path) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """The real gateway with the pages: its address, its key, its process."""
    main = [sys.executable, "-c", "from llmrouter_core.cli import main; main()"]
    options = ["--port", "0", "--no-browser", "--log", str(tmp_path / "log")]
    process = subprocess.Popen(
        [*main, "chat", str(config), *options],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    try:
        said = process.stderr.readline()
        found = re.search(r"(http://127\.0\.0\.1:\d+)/chat#k=(\S+)", said)
        assert found, said
        yield found[1], found[2], process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def get(url: str, key: str | None = None, body: Any = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers), timeout=30
        ) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_pages_are_open_and_the_api_wants_the_key_of_this_run(
    served: tuple[str, str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    url, key, process = served
    chat = {"model": "auto", "messages": [{"role": "user", "content": "What is 3 + 4?"}]}

    assert get(f"{url}/chat") == (200, pages()["/chat"].body)
    assert get(f"{url}/dashboard") == (200, pages()["/dashboard"].body)
    assert get(f"{url}/chat/page/chat.js")[0] == 200
    assert get(f"{url}/chat/page/none.js")[0] == 404
    assert get(f"{url}/v1/stats")[0] == 401
    assert get(f"{url}/v1/models", f"{key[:-1]}?")[0] == 401
    status, body = get(f"{url}/v1/chat/completions", key, chat)
    about = json.loads(body)["llmrouter"]
    assert status == 200
    assert get(f"{url}/v1/feedback", key, {"id": about["id"], "reward": 1})[0] == 200
    totals = json.loads(get(f"{url}/v1/stats", key)[1])
    assert totals["models"][about["model"]]["answers"] == 1

    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert key not in process.stderr.read()
    kept = "".join(file.read_text() for file in (tmp_path / "log").iterdir())
    assert about["id"] in kept
    assert key not in kept
