"""Our figures beside published ones, where the work is the same.

    python tests/benchmarks/published.py FOLDER… [--out docs/benchmarks.md]

RouteLLM's APGR and CPT on its own outcomes, and RouterBench's AIQ on ARC-Challenge, over `hashing`
embeddings. `--out` writes the section into a Markdown page.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field
from houses import compose
from quality_page import place
from sets import read, unseen

from llmrouter_core import LLMRouter, Model, Scores, evaluate, hookimpl
from llmrouter_core.evaluation import Figure

ROUTERS = ("auto", "knn")
RANDOM = "random scores"

_OTHERS = """\
The other sets have no published figure for the same work: the papers on LLMRouter, LLMRouterBench
and RouterArena use other test queries, other pools or both. In LLMRouterBench (arXiv 2601.07206)
learned routers gain -8.8 to +6.7 % over the best single model, relative, and the best model for
each data set +8.3 %; the gains above are in points, and *per-task best* is that table.
"""

_ROUTELLM = """\
RouteLLM (arXiv 2406.18665), its own outcomes of `gpt-4-1106-preview` and Mixtral-8x7B. The
published routers (the best of them is shown) learned from arena votes and judges, ours from
outcomes of the same benchmarks, which is easier; the test rows here are a part of theirs. Chance
is 50.
"""

_ROUTERBENCH = """\
RouterBench (arXiv 2403.12031), AIQ on ARC-Challenge in %. Outcomes and costs are its own, but one
of its 11 models is missing, the split is another, and the range of costs is that of these models,
so that the level is not comparable and the difference to the Zero router is:
"""


@define(eq=False, kw_only=True)
class RandomScorer:
    """Predict a quality that has nothing to do with the query: RouteLLM's random router."""

    name: str = "quality"
    _rng: np.random.Generator = field(factory=lambda: np.random.default_rng(0))

    @hookimpl
    def score(self, queries: Any, models: Any) -> Scores:
        """Return a draw from 0 to 1 for every cell, (n, m)."""
        return Scores(self.name, self._rng.random((len(queries), len(models))))


def routers(models: list[Model]) -> dict[str, LLMRouter]:
    """Return the untrained routers, quality first, and one that guesses."""
    found = {name: compose(name, models) for name in ROUTERS}
    knob = next(part.plugin for part in found["knn"].config.parts if part.kind == "selector")
    found[RANDOM] = LLMRouter(models=models, parts=[RandomScorer(), knob])
    return found


def published(folders: list[Path], seed: int, resamples: int) -> list[str]:
    """Return our figures beside published ones, where the work is the same."""
    lines = ["## Beside published figures", ""]
    found = {folder.name: folder for folder in folders}
    if "routellm" in found:
        lines += _beside_routellm(found["routellm"], seed, resamples)
    if "routerbench" in found:
        lines += _beside_routerbench(found["routerbench"], seed, resamples)
    return [*lines, *_OTHERS.splitlines(), ""]


def _beside_routellm(folder: Path, seed: int, resamples: int) -> list[str]:
    theirs = {
        "MMLU": ("mmlu/", "60.3", "35.4", "70.3"),
        "GSM8K": ("gsm8k", "62.2", "33.6", "63.3"),
        "MT-bench": ("mt", "80.2", "13.4", "31.3"),
    }
    models, train, test = read(folder)
    test = unseen(train, test)
    lines = [
        *_ROUTELLM.splitlines(),
        "",
        "| benchmark | test queries | router | APGR, % | CPT 50, % | CPT 80, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, (task, apgr, cpt50, cpt80) in theirs.items():
        held = test.take([i for i, own in enumerate(test.tasks) if own.startswith(task)])
        if not len(held):
            continue
        for which, router in routers(models).items():
            fitted = router if which == RANDOM else router.fit(train)
            one = evaluate(
                fitted,
                held,
                train=train,
                resamples=resamples,
                seed=seed,
                weak="mistralai/Mixtral-8x7B-Instruct-v0.1",
                strong="gpt-4-1106-preview",
            )
            figures = " | ".join(of(figure) for figure in (one.apgr, one.cpt50, one.cpt80))
            lines.append(f"| {name} | {len(held):,} | {which} | {figures} |")
        lines.append(f"| {name} | published | best published | {apgr} | {cpt50} | {cpt80} |")
    return [*lines, ""]


def of(figure: Figure | None, sign: str = "") -> str:
    """Return *figure* in % with its interval."""
    if figure is None:
        return "-"
    low, high = figure.interval
    return f"{100 * figure.value:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def _beside_routerbench(folder: Path, seed: int, resamples: int) -> list[str]:
    models, train, test = read(folder)
    test = unseen(train, test)
    held = test.take([i for i, own in enumerate(test.tasks) if own.startswith("arc")])
    taught = train.take([i for i, own in enumerate(train.tasks) if own.startswith("arc")])
    one = evaluate(
        routers(models)["knn"].fit(taught), held, train=taught, resamples=resamples, seed=seed
    )
    return [
        *_ROUTERBENCH.splitlines(),
        "",
        "| router | here | published |",
        "|---|---|---|",
        f"| Zero router | {of(one.zero_aiq)} | 87.7 |",
        f"| kNN | {of(one.aiq)} | 87.1 |",
        f"| kNN minus Zero router | {of(one.aiq_gain, '+')} | -0.6 |",
        "| MLP | - | 87.5 |",
        "",
        f"{len(taught):,} train and {len(held):,} test queries.",
        "",
    ]


def main() -> None:
    """Print the section, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="Markdown page whose section to write")
    options = parser.parse_args()
    text = "\n".join(published(options.folders, options.seed, options.resamples))
    print(text)
    if options.out is not None:
        place(options.out, "Beside published figures", text)


if __name__ == "__main__":
    main()
