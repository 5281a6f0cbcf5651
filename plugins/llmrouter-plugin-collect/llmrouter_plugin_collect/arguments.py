"""From the words of a command line to what they mean, each mistake a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmrouter_core import ConfigError, LLMRouter, Model
from llmrouter_core.catalogue import discover, find
from llmrouter_core.cli.console import Misuse
from llmrouter_core.tasks import Example, JudgedTask

from llmrouter_plugin_collect.plan import Plan
from llmrouter_plugin_collect.questions import AnyTask, Question, Stated


def questions(
    names: tuple[str, ...],
    sources: tuple[str, ...],
    queries: Path | None,
    scored_by: str | None,
    limit: int | None,
    seed: int,
    max_tokens: int | None,
) -> list[Question]:
    """Return what is asked: the examples of the tasks, and the queries of a file.

    Args:
        names: The tasks.
        sources: `[TASK=]FILE`, several times.
        queries: The file.
        scored_by: The task that words and scores the file's queries.
        limit: Examples of each task at most.
        seed: What the draw depends on.
        max_tokens: Limit of answers where a task states none.

    Raises:
        LLMRouterError: A task or a file cannot be had.
    """
    entries = discover()

    def task(name: str) -> AnyTask:
        made: AnyTask = find(entries, "task", name).load()()
        return made

    if not names and queries is None:
        raise Misuse("what should be asked? name a task, or give --queries FILE @ TASKS")
    if scored_by is not None and queries is None:
        raise Misuse("--scored-by is for --queries; give it a file @ --scored-by")
    wanted = {made.name: made for made in map(task, names)}
    files = _sources(sources, list(wanted))
    asked = [(name, made, files.get(name)) for name, made in wanted.items()]
    if queries is not None:
        title = queries.name.partition(".")[0] or "queries"
        if title in wanted:
            raise Misuse(f"'{title}' is a task and the name of the file; rename it @ --queries")
        asked.append((title, task(scored_by) if scored_by else Stated(), queries))
    found = []
    for name, made, source in asked:
        examples: Iterable[Example]
        if source is queries and queries is not None:
            examples = Stated().examples(source, limit, seed)
        else:
            examples = made.examples(source, limit, seed)
        found += [
            Question(name=name, task=made, example=one, max_tokens=max_tokens) for one in examples
        ]
    return found


def _sources(texts: tuple[str, ...], names: list[str]) -> dict[str, Path]:
    """Return `[TASK=]FILE`, given several times, as files by task."""
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if equals and name in names:
            found[name] = Path(path)
        elif len(names) == 1:
            found[names[0]] = Path(text)
        else:
            listed = ", ".join(names) or "none"
            raise Misuse(f"write TASK=FILE, with one of: {listed}; got '{text}' @ --task-source")
    return found


def judging_model(router: LLMRouter, name: str | None, plan: Plan) -> Model | None:
    """Return the model that judges.

    Raises:
        Misuse: There is none and a task needs one, or the pool has none of that name.
    """
    if name is None:
        for question in plan.questions:
            if isinstance(question.task, JudgedTask):
                raise Misuse(f"task '{question.name}' needs a judge: --judge MODEL @ --judge")
        return None
    for model in router.models:
        if model.name == name:
            return model
    raise Misuse(
        f"there is no model '{name}' in the pool; add [model.{name}] with routable = false, "
        "so that it is not asked the queries @ --judge"
    )


def priced(models: Iterable[Model], option: str = "--budget") -> None:
    """Raise ConfigError for models that no budget, given as *option*, can hold."""
    unknown = [model.name for model in models if model.price is None]
    if unknown:
        raise ConfigError(
            option,
            [
                f"model '{name}' has no price, so no budget can hold it; add: "
                f"price = {{ input = …, output = … }} @ model.{name}"
                for name in unknown
            ],
        )


def numbers(texts: tuple[str, ...], option: str, *, whole: bool) -> dict[str, float]:
    """Return `[CALLER=]N`, given several times, as numbers by caller; `""` is for all."""
    found = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(int(number)) if whole else float(number)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            kind = "a whole number" if whole else "a number"
            raise Misuse(f"expected N or CALLER=N, with {kind} above 0; got '{text}' @ {option}")
        found[name] = value
    return found


def known_callers(router: LLMRouter, names: Iterable[str]) -> None:
    """Raise Misuse unless the config has a caller of each name."""
    callers = [part.name for part in router.config.parts if part.kind == "caller"]
    for name in names:
        if name and name not in callers:
            listed = ", ".join(callers)
            raise Misuse(f"there is no [caller.{name}]; the config has: {listed}")
