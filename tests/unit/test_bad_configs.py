"""Every wrong config is answered with sentences: a place, a reason, exit code 2, no traceback."""

import contextlib
import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmrouter_core import ConfigError, LLMRouter, LLMRouterError, Model
from llmrouter_core.catalogue import discover, find
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.config import load

POOL = """
[model.small]
size = 8.0
[model.large]
size = 70.0
"""

GOOD = (
    """
selector = "smallest-llm"
caller = "openai"
"""
    + POOL
)

WRONG: dict[str, tuple[str, str]] = {
    "unknown table": (f"{GOOD}[modell.x]\n", "unknown table 'modell', did you mean 'model'?"),
    "unknown table like none": (f"{GOOD}[zzz]\n", "unknown table 'zzz'; there are: api_key"),
    "misspelt option": (
        f"{GOOD}contxt = 3",
        "unknown option 'contxt', did you mean 'context'? @ model.large",
    ),
    "text for a whole number": (
        f"{GOOD}context = '8k'",
        "expected int, got '8k' @ model.large.context",
    ),
    "text for a truth": (
        f'{GOOD}routable = "false"',
        "expected bool, got 'false' @ model.large.routable",
    ),
    "number for a truth": (f"{GOOD}routable = 1", "expected bool, got 1 @ model.large.routable"),
    "3.9 for a whole number": (
        f"{GOOD}context = 3.9",
        "expected int, got 3.9 @ model.large.context",
    ),
    "truth for a whole number": (
        f"{GOOD}context = true",
        "expected int, got True @ model.large.context",
    ),
    "truth for a number": (
        f"{GOOD}active = true",
        "expected float, got True @ model.large.active",
    ),
    "nan": (f"{GOOD}active = nan", "expected a finite number, got nan @ model.large.active"),
    "inf": (f"{GOOD}active = inf", "expected a finite number, got inf @ model.large.active"),
    "a number of 4000 digits": (
        f"{GOOD}active = {'9' * 4000}",
        "expected a finite number, got inf @ model.large.active",
    ),
    "a number of 5000 digits": (f"{GOOD}active = {'9' * 5000}", "is not valid TOML: Exceeds"),
    "negative price": (
        f"{GOOD}price = {{ input = -1.0 }}",
        "'input' must be >= 0: -1.0 @ model.large.price",
    ),
    "unknown price": (
        f"{GOOD}price = {{ imput = 1.0 }}",
        "unknown option 'imput', did you mean 'input'? @ model.large.price",
    ),
    "price that is a number": (
        f"{GOOD}price = 3.0",
        "expected a table, got 3.0 @ model.large.price",
    ),
    "context 0": (f"{GOOD}context = 0", "'context' must be > 0: 0 @ model.large"),
    "tags that are a text": (
        f'{GOOD}tags = "fast"',
        "expected a list, got 'fast' @ model.large.tags",
    ),
    "one tag that is a number": (
        f'{GOOD}tags = ["fast", 3]',
        "expected str, got 3 @ model.large.tags.2",
    ),
    "model that has a name": (
        f'{GOOD}name = "x"',
        "unknown option 'name'; the table's own name is it @ model.large",
    ),
    "model that is a text": (
        'selector = "smallest-llm"\ncaller = "openai"\nmodel = { small = "gpt" }',
        "expected a table, got 'gpt' @ model.small",
    ),
    "model table that is a text": (
        'selector = "smallest-llm"\ncaller = "openai"\nmodel = "gpt"',
        "expected [model.NAME] tables, got 'gpt' @ model",
    ),
    "model without its name": (
        'selector = "smallest-llm"\ncaller = "openai"\n[model]\nid = "gpt"',
        "expected a table, got 'gpt'; write [model.NAME] @ model.id",
    ),
    "model with an empty name": (
        f'{GOOD}[model.""]\n',
        "a model needs a name that is not empty @ model.",
    ),
    "unknown caller of a model": (
        f'{GOOD}caller = "defualt"',
        "no [caller.defualt], did you mean 'default'? @ model.large.caller",
    ),
    "no model is routable": (
        'selector = "smallest-llm"\ncaller = "openai"\n[model.judge]\nroutable = false',
        "no model is routable, so there is nothing to choose from @ model",
    ),
    "no selector": (f'caller = "openai"\n{POOL}', 'no selector; add: selector = "utility"'),
    "no caller": (f'selector = "smallest-llm"\n{POOL}', 'no caller; add: caller = "openai"'),
    "an empty file": ("", "no caller; add"),
    "literal secret": (
        f'selector = "smallest-llm"\n[caller.default]\nuse = "openai"\napi_key = "k-secret"{POOL}',
        'a secret is written { env = "VARIABLE" }, never as a literal @ caller.default.api_key',
    ),
    "literal secret at the top": (
        f'api_key = "k-secret"{GOOD}',
        'a secret is written { env = "VARIABLE" }, never as a literal @ caller.default.api_key',
    ),
    "empty variable of a secret": (
        f'api_key = {{ env = "" }}{GOOD}',
        "'env' takes the name of a variable, such as OPENAI_API_KEY @ caller.default.api_key",
    ),
    "key in place of a variable": (
        f'api_key = {{ env = "k-secret" }}{GOOD}',
        "'env' takes the name of a variable, such as OPENAI_API_KEY @ caller.default.api_key",
    ),
    "key without a default caller": (
        f'api_key = {{ env = "KEY" }}\nselector = "smallest-llm"\n'
        f'[caller.mine]\nuse = "openai"\n{POOL}',
        "'api_key' belongs to the default caller, and there is none",
    ),
    "duplicate table": (
        f'{GOOD}[embedder]\nuse = "hashing"\n[embedder]\nuse = "hashing"',
        "Cannot declare ('embedder',) twice (at line",
    ),
    "selector that is a list": (
        f'selector = ["smallest-llm"]\ncaller = "openai"\n{POOL}',
        "expected a table or a name, got a list @ selector",
    ),
    "selector that is a number": (
        f'selector = 3\ncaller = "openai"\n{POOL}',
        "expected a table or a name, got 3 @ selector",
    ),
    "scorer that is a number": (f"scorer = 3{GOOD}", "expected [scorer.NAME] tables, got 3"),
    "scorer without its name": (
        f'{GOOD}[scorer]\nuse = "price"',
        "expected a table, got 'price'; write [scorer.NAME] @ scorer.use",
    ),
    "scorer with a path for a name": (
        f'{GOOD}[scorer."../up"]\nuse = "price"',
        "a name is letters, digits, '-' and '_' @ scorer.../up",
    ),
    "config as a recipe": (
        f'router = "router.toml"{GOOD}',
        "no router 'router.toml' is installed",
    ),
    "unknown recipe": (
        f'router = "nosuch"{GOOD}',
        "to install it: pip install llmrouter-plugin-nosuch @ router",
    ),
    "recipe that is a number": (f"router = 3{GOOD}", "expected a table or a name, got 3 @ router"),
    "recipe without a name": (
        f'router = ""{GOOD}',
        "expected the name of a router, got '' @ router.use",
    ),
    "artefacts that are a number": (
        f"router = {{ artefacts = 3 }}{GOOD}",
        "expected str, got 3 @ router.artefacts",
    ),
    "negative fallbacks": (
        f"router = {{ fallbacks = -1 }}{GOOD}",
        "'fallbacks' must be >= 0: -1 @ router",
    ),
    "unknown plugin": (
        f'{GOOD}[scorer.quality]\nuse = "zzz"',
        "to install it: pip install llmrouter-plugin-zzz @ scorer.quality",
    ),
    "misspelt plugin": (
        f'selector = "smalest-llm"\ncaller = "openai"\n{POOL}',
        "did you mean 'smallest-llm'?",
    ),
    "plugin of another kind": (
        f'selector = "price"\ncaller = "openai"\n{POOL}',
        "no selector 'price' is installed; 'price' is the name of a router and a scorer",
    ),
    "plugin that could be a command line": (
        f'{GOOD}[scorer.quality]\nuse = "x; curl evil"',
        "no scorer 'x; curl evil' is installed",
    ),
    "extension twice": (
        f'extension = ["retry", "Retry"]{GOOD}',
        "'retry' is listed twice @ extension.retry",
    ),
    "extension that is a number": (
        f"extension = 3{GOOD}",
        "expected [[extension]] tables, got 3 @ extension",
    ),
    "extension in a list that is a number": (
        f"extension = [3]{GOOD}",
        "expected a table or a name, got 3 @ extension.1",
    ),
    "extension without a plugin": (
        f"{GOOD}[[extension]]\nattempts = 3",
        'which plugin? add: use = "…" @ extension.1',
    ),
    "part without a plugin": (
        f"{GOOD}[scorer.quality]\nk = 3",
        'which plugin? add: use = "…" @ scorer.quality',
    ),
    "plugin that is a number": (
        f"{GOOD}[scorer.quality]\nuse = 3",
        "expected the name of a plugin, got 3 @ scorer.quality.use",
    ),
    "plugin that is empty": (
        f'{GOOD}[scorer.quality]\nuse = " "',
        "expected the name of a plugin, got ' ' @ scorer.quality.use",
    ),
    "part that has a name": (
        f'{GOOD}[scorer.cost]\nuse = "price"\nname = "x"',
        "unknown option 'name'; the table's own name is it @ scorer.cost",
    ),
    "option out of range": (
        f'caller = "openai"\n[selector]\nuse = "utility"\ntradeoff = 1.5\n{POOL}',
        "'tradeoff' must be <= 1: 1.5 @ selector",
    ),
    "broken TOML": ("selector = \n", "is not valid TOML: Invalid value (at line 1, column 12)"),
    "nested too deeply": ("x = " + "[" * 20_000, "is nested too deeply; a config is flat"),
}


def check(path: Path | str) -> Result:
    return CliRunner().invoke(llmrouter, ["check", str(path)])


def refused(result: Result) -> list[str]:
    """Return the problems, having made sure that this is how a mistake looks."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines), lines
    assert "Traceback" not in result.stderr
    assert "k-secret" not in result.stderr
    return lines


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.replace(" ", "-"))
def test_a_wrong_config_is_refused_in_sentences(case: str, tmp_path: Path) -> None:
    """The message holds the reason and the place, and nothing goes to stdout."""
    content, reason = WRONG[case]
    path = tmp_path / "router.toml"
    path.write_text(content, encoding="utf-8")

    lines = refused(check(path))

    assert any(reason in line for line in lines), lines
    assert all(str(path) in line for line in lines)


def test_the_good_config_is_good(tmp_path: Path) -> None:
    """So that each wrong one is wrong for its own reason."""
    path = tmp_path / "router.toml"
    path.write_text(GOOD, encoding="utf-8")

    result = check(path)

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("ok: ")


FILES: dict[str, tuple[bytes, str]] = {
    "binary": (bytes(range(256)), "is not UTF-8 text (byte 128); save it as UTF-8 TOML"),
    "utf-16": (GOOD.encode("utf-16"), "is not UTF-8 text (byte 0)"),
    "utf-16 without a mark": (GOOD.encode("utf-16-le"), "is not valid TOML"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_not_text_is_refused(case: str, tmp_path: Path) -> None:
    """Bytes are never guessed at."""
    content, reason = FILES[case]
    path = tmp_path / "router.toml"
    path.write_bytes(content)

    [line] = refused(check(path))

    assert reason in line


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "router.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert check(path).exit_code == 0


def test_fifty_megabytes_are_refused_without_reading_them(tmp_path: Path) -> None:
    """A model file named by mistake costs no memory and no time."""
    path = tmp_path / "router.toml"
    with path.open("wb") as file:
        file.truncate(50 << 20)

    started = time.perf_counter()
    [line] = refused(check(path))

    assert "is larger than 1024 KiB; is it a config?" in line
    assert time.perf_counter() - started < 1


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    """The system's own reason is given."""
    [line] = refused(check(tmp_path))

    assert "cannot be read: Is a directory" in line


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    """The next step is a command."""
    [line] = refused(check(tmp_path / "router.toml"))

    assert "No such file or directory; to write one: llmrouter init auto > router.toml" in line


def test_a_path_with_nul_is_refused() -> None:
    """No system has such a file."""
    [line] = refused(check("router\0.toml"))

    assert "is not a path" in line


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions are named, and it is not said that the file is missing."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    [line] = refused(check(tmp_path / "router.toml"))

    assert line.endswith("router.toml: cannot be read: Permission denied")


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    """One run, one list: whatever stage would have found them."""
    path = tmp_path / "router.toml"
    path.write_text(
        """
        router = "nosuch"
        scorrer = "x"
        embedder = 3
        [selector]
        use = "utility"
        tradeof = 1.0
        [scorer.quality]
        use = "zzz"
        [model.small]
        context = "8k"
        price = { input = -1, output = "x" }
        """,
        encoding="utf-8",
    )

    places = [line.rpartition(" @ ")[2] for line in refused(check(path))]

    assert "error: " in places[0]  # an unknown table is its own place
    assert sorted(places[1:]) == [
        "embedder",
        "model.small.context",
        "model.small.price.output",
        "router",
        "scorer.quality",
        "selector",
    ]


EXPRESSIBLE = [
    ({}, "no selector"),
    ({"selector": "smallest-llm", "caller": "openai", "model": {"a": {"size": "8"}}}, "model.a"),
    ({"selector": {"use": None}, "caller": "openai"}, "selector.use"),
    ({1: 2}, "unknown table '1'"),
    ({"selector": "smallest-llm", "caller": "openai", "model": {1: {}}}, "model.1"),
    ({"selector": "smallest-llm", "caller": {"default": {"use": "openai", 7: 7}}}, "'7'"),
    ({"selector": "smallest-llm", "caller": "openai", "extension": {1, 2}}, "@ extension"),
]


@pytest.mark.parametrize(("source", "reason"), EXPRESSIBLE)
def test_a_wrong_dictionary_is_a_config_error(source: dict[Any, Any], reason: str) -> None:
    """A dictionary has the shape of a file, and the same mistakes."""
    with pytest.raises(ConfigError) as caught:
        LLMRouter(source)

    assert any(reason in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    "case", ["unknown table", "broken TOML", "literal secret", "misspelt plugin"]
)
def test_the_real_command_refuses_like_the_tested_one(case: str, tmp_path: Path) -> None:
    """Exit code, streams and sentences are those of a real process."""
    content, reason = WRONG[case]
    path = tmp_path / "router.toml"
    path.write_text(content, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "llmrouter_core", "check", str(path)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert reason in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())


def _typos(word: str) -> st.SearchStrategy[str]:
    """Return words one letter away from *word*."""
    place = st.integers(0, len(word) - 1)
    letter = st.sampled_from("abcdefghijklmnopqrstuvwxyz")
    return st.one_of(
        st.builds(lambda i, c: word[:i] + c + word[i + 1 :], place, letter),
        st.builds(lambda i, c: word[:i] + c + word[i:], place, letter),
        place.map(lambda i: word[:i] + word[i + 1 :]),
    )


def _options(cls: type) -> tuple[str, ...]:
    return tuple(f.alias for f in attrs.fields(cls) if f.init and f.alias != "name")


OPTIONS = {"model": _options(Model), "scorer": _options(find(discover(), "scorer", "knn").load())}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_typo_in_an_option_is_answered_with_the_right_one(data: st.DataObject) -> None:
    """One letter wrong: the option is suggested, or at least listed."""
    kind = data.draw(st.sampled_from(sorted(OPTIONS)))
    meant = data.draw(st.sampled_from(OPTIONS[kind]))
    typo = data.draw(_typos(meant).filter(lambda word: word not in (*OPTIONS[kind], "")))
    part = {"use": "knn", typo: 1} if kind == "scorer" else {typo: 1}

    with pytest.raises(ConfigError) as caught:
        load({"selector": "smallest-llm", "caller": "openai", kind: {"x": part}})

    [problem] = [p for p in caught.value.problems if f"unknown option '{typo}'" in p]
    assert problem.endswith(f"@ {kind}.x")
    assert meant in problem.partition(f"'{typo}'")[2]


_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["smallest-llm", "utility", "knn", "price", "hashing", "openai", "default"])
    | st.dates()
)
_keys = st.text(max_size=4) | st.sampled_from(
    ["use", "id", "price", "input", "env", "default", "quality", "k", "name", "tradeoff"]
)
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)
_tables = st.dictionaries(
    st.sampled_from(
        [
            "router",
            "model",
            "embedder",
            "scorer",
            "selector",
            "caller",
            "solver",
            "extension",
            "api_key",
        ]
    )
    | st.text(max_size=4),
    _values,
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_tables)
@example({"selector": "smallest-llm", "caller": "openai", "model": {"a": {"price": [1]}}})
def test_no_dictionary_raises_anything_but_our_own_errors(source: dict[str, Any]) -> None:
    """Whatever TOML can say is either a router or a sentence."""
    with contextlib.suppress(LLMRouterError):
        LLMRouter(source)
