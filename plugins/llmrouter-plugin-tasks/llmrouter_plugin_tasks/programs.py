"""Programs that tests judge: MBPP and HumanEval."""

import ast
import builtins
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import define, field, validators
from llmrouter_core import Example

from llmrouter_plugin_tasks.benchmark import Benchmark
from llmrouter_plugin_tasks.sandbox import Limits, run_tests
from llmrouter_plugin_tasks.sources import Hub, Row

_FENCE = re.compile(r"^[ \t]*(```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.M | re.S)


def code_of(answer: str, function: str = "") -> str:
    """Return the code of *answer*: the last fenced block that defines *function*, or all of it.

    Where no block defines it, the longest one counts; where there is no fence, the whole text.
    """
    blocks = [match[3] for match in _FENCE.finditer(answer)]
    if not blocks:
        return answer
    defining = [block for block in blocks if function and _defines(block, function)]
    return textwrap.dedent(defining[-1] if defining else max(blocks, key=len))


def _defines(code: str, name: str) -> bool:
    return bool(re.search(rf"^\s*(?:async )?def {re.escape(name)}\b", code, re.MULTILINE))


def _calls(test: str) -> str:
    """Return the name of the first function *test* calls that is not a built-in one."""
    try:
        tree = ast.parse(textwrap.dedent(test))
    except SyntaxError:
        return ""
    names = [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    return next((name for name in names if not hasattr(builtins, name)), "")


@define(eq=False, kw_only=True)
class Programs(Benchmark):
    """Functions to write; right where the sandbox finds that all tests pass.

    Attributes:
        seconds: How long the tests may take.
    """

    seconds: float = field(default=10.0, validator=[validators.gt(0), validators.le(600)])

    def passes(self, code: str, tests: str) -> float:
        """Return 1 where *code* passes *tests* in the sandbox.

        Raises:
            SandboxUnavailable: This system cannot hold the code.
        """
        return float(run_tests(code, tests, Limits(seconds=self.seconds)).passed)


@define(eq=False, kw_only=True)
class MbppTask(Programs):
    """MBPP: short Python functions described in a sentence."""

    name: ClassVar[str] = "mbpp"
    hub: ClassVar[Hub] = Hub("google-research-datasets/mbpp", ("full",), "test")
    spelling: ClassVar[str] = "mbpp"

    def read(self, row: Row) -> Example:
        """Read `text` or `prompt`, `test_list`, and `test_setup_code` or `test_imports`."""
        setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or ())
        text = row["text"] if "text" in row else row["prompt"]
        return _mbpp(text, list(row["test_list"]), setup)

    def read_query(self, query: str, truth: str, options: Any, row: Row) -> Example:
        """Return the example; its tests are a list, as the truth or as the options."""
        tests = json.loads(truth) if truth.lstrip().startswith("[") else options or [truth]
        return _mbpp(query, tests, "")

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Show the tests, which say what the function is called."""
        tests = "\n".join(example.facts["tests"])
        return self.payload(
            f"{example.text}\n\nWrite it in Python, so that these tests pass:\n\n"
            f"```python\n{tests}\n```\n\nReply with the complete code in one ```python block, "
            "without the tests."
        )

    def score(self, example: Example, answer: str) -> float:
        """Return 1 where every test passes."""
        code = code_of(answer, _calls(example.facts["tests"][0]))
        return self.passes(code, example.reference)


def _mbpp(text: str, tests: list[str], setup: str) -> Example:
    return Example(
        id="",
        text=text,
        reference="\n".join([setup, *tests]).lstrip(),
        facts={"tests": tuple(tests)},
    )


@define(eq=False, kw_only=True)
class HumanEvalTask(Programs):
    """HumanEval: Python functions to complete from their signature and docstring."""

    name: ClassVar[str] = "human-eval"
    hub: ClassVar[Hub] = Hub("openai/openai_humaneval", (None,), "test")
    spelling: ClassVar[str] = "human_eval"

    def read(self, row: Row) -> Example:
        """Read `prompt`, `test` and `entry_point`."""
        return _human_eval(row["prompt"], row["test"], row["entry_point"])

    def read_query(self, query: str, truth: str, options: Any, row: Row) -> Example:
        """Return the example; its function is the last one the query begins."""
        return _human_eval(query, truth, re.findall(r"^def (\w+)", query, re.MULTILINE)[-1])

    def prompt(self, example: Example) -> Mapping[str, Any]:
        """Show the beginning of the function and ask for all of it."""
        return self.payload(
            f"Complete this Python function:\n\n```python\n{example.text}\n```\n\n"
            "Reply with the whole function, imports included, in one ```python block."
        )

    def score(self, example: Example, answer: str) -> float:
        """Return 1 where every test passes; *answer* may give the body alone."""
        function = example.facts["function"]
        code = code_of(answer, function)
        if _defines(code, function):  # after the beginning, which may hold what it needs
            program = f"{example.text}\n    pass\n\n{textwrap.dedent(code)}"
        else:
            body = code if re.match(r"\s*\n?[ \t]", code) else textwrap.indent(code, "    ")
            program = f"{example.text.rstrip()}\n{body}"
        return self.passes(program, example.reference)


def _human_eval(prompt: str, test: str, function: str) -> Example:
    tests = f"{test}\n\ncheck({function})\n"
    return Example(id="", text=prompt, reference=tests, facts={"function": function})
