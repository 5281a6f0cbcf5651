"""The page on quality: what `quality.py` measured, as Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from llmrouter_core import Dataset, Model, Report
from llmrouter_core.evaluation import Figure

QUALITY_FIRST = "knn, quality first"
RANDOM = "random scores"

_SETS = {
    "llmrouter": "LLMRouter example data",
    "routerbench": "RouterBench (ARC-C, MBPP, WinoGrande)",
    "zeroeval": "ZeroEval (GSM8K, CRUX, MATH-L5)",
    "bfcl": "Berkeley Function-Calling Leaderboard",
    "mmlu_pro": "MMLU-Pro",
    "routellm": "RouteLLM (MMLU, GSM8K, MT-bench)",
}

_HOW = """\
Every router is used as its house ships it, over `hashing` embeddings, with every option at its
default; nothing was tuned on rows that are shown as *test*. Brackets hold 95 % percentile
bootstrap intervals over groups of equal queries, paired. *Gain* is over *best single*, the model
with the best mean score on the train rows. The *zero router* tosses a coin between two single
models so that it costs what the knn recipe costs; it is chosen on the test rows, which flatters
it. *knn*, *threshold* and *utility* share their predictions and differ in what they do with them,
so PGR tells them apart and APGR, which is about the order of predictions, does not. What the
figures mean is in [Train and evaluate](train-and-evaluate.md).
"""


@frozen(kw_only=True)
class Measured:
    """What was measured on one set.

    Attributes:
        name: What the set is called.
        models: The pool.
        train: Train rows.
        test: Test rows.
        leaked: Test rows left out because their text is among the train rows.
        reports: The evaluation of each router on the test rows.
        folds: The figures over the five folds.
    """

    name: str
    models: list[Model]
    train: Dataset
    test: Dataset
    leaked: int
    reports: dict[str, Report]
    folds: Report


def section(all_measured: list[Measured], published: list[str], options: Any) -> str:
    """Return the section on quality as Markdown."""
    lines = [
        "## Quality",
        "",
        "Made by one command, from recorded outcomes that are not part of this project:",
        "",
        "```text",
        "python tests/benchmarks/quality.py FOLDER… --out docs/benchmarks.md "
        f"--seed {options.seed} --resamples {options.resamples} --folds {options.folds}",
        "```",
        "",
        *prose(_HOW),
        "",
    ]
    for measured in all_measured:
        lines += _set(measured)
    return "\n".join([*lines, *published])


def _set(measured: Measured) -> list[str]:
    """Return the tables of one set."""
    leaked = f" ({measured.leaked} more stand among the train rows)" if measured.leaked else ""
    lines = [
        f"### {_SETS.get(measured.name, measured.name)}",
        "",
        f"{len(measured.train):,} train and {len(measured.test):,} test queries{leaked}, "
        f"{len(measured.models)} models, {len(set(measured.test.tasks))} tasks.",
        "",
        "On the test rows:",
        "",
        "| policy | quality, % | $ per 1,000 queries | gain over best single | regret |",
        "|---|---|---|---|---|",
    ]
    shown = [(f"**{name}**", one.rows[0]) for name, one in measured.reports.items()]
    fixed = measured.reports["knn"].rows[1:]
    lines += [
        f"| {name} | {_share(row.quality, row.quality_interval)} | "
        f"{_dollars(row.cost, row.cost_interval)} | "
        f"{_share(row.gain, row.gain_interval, '+')} | "
        f"{_share(row.regret, row.regret_interval)} |"
        for name, row in [*shown, *((row.policy, row) for row in fixed)]
    ]
    lines += ["", *_curves(measured), "", *_pairs(measured), "", *_trust(measured), ""]
    lines += [
        f"Five folds over the {len(measured.train):,} train rows:",
        "",
        "| policy | quality, % | gain over best single | regret |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row.policy} | {_share(row.quality, row.quality_interval)} | "
        f"{_share(row.gain, row.gain_interval, '+')} | "
        f"{_share(row.regret, row.regret_interval)} |"
        for row in measured.folds.rows
    ]
    return [*lines, ""]


def _curves(measured: Measured) -> list[str]:
    """Return the figures of the curve of each router that has one."""
    found = {name: one for name, one in measured.reports.items() if one.aiq is not None}
    if not found:
        return ["Costs are not known, so there is no curve in dollars."]
    zero = next(iter(found.values())).zero_aiq
    lines = [
        f"Along the knob; AIQ of the Zero router is {of(zero)}:",
        "",
        "| router | settings | AIQ, % | AIQ gained | gain at the cost of best single | "
        "cost at its quality, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        lines.append(
            f"| {name} | {len(one.curve)} | {of(one.aiq)} | {of(one.aiq_gain, '+')} | "
            f"{of(one.quality_at_cost, '+')} | {of(one.cost_at_quality)} |"
        )
    return lines


def _pairs(measured: Measured) -> list[str]:
    found = {name: one for name, one in measured.reports.items() if one.apgr is not None}
    if not found:
        return ["The cheapest model and the best single one leave no gap to recover."]
    weak, strong = next(iter(found.values())).pair
    lines = [
        f"Between `{weak}` and `{strong}`:",
        "",
        "| router | PGR, % | APGR, % | CPT 50, % | CPT 80, % |",
        "|---|---|---|---|---|",
    ]
    for name, one in found.items():
        figures = (one.pgr, one.apgr, one.cpt50, one.cpt80)
        lines.append(f"| {name} | {' | '.join(of(figure) for figure in figures)} |")
    return lines


def _trust(measured: Measured) -> list[str]:
    """Return the mean calibration and the flip rate of each router that predicts quality."""
    lines = [
        "| router | calibration error (mean of models), % | Brier (mean of models) | "
        "flips under noise, % |",
        "|---|---|---|---|",
    ]
    for name, one in measured.reports.items():
        if one.calibration and name != RANDOM:
            ece = np.mean([found.ece for found in one.calibration])
            brier = np.mean([found.brier for found in one.calibration])
            lines.append(f"| {name} | {100 * ece:.1f} | {brier:.3f} | {of(one.flip_rate)} |")
    return lines


def prose(text: str) -> list[str]:
    return text.splitlines()


def of(figure: Figure | None, sign: str = "") -> str:
    if figure is None:
        return "-"
    if np.isinf(figure.value):
        return "never"
    return _share(figure.value, figure.interval, sign)


def _share(value: float | None, interval: Any, sign: str = "") -> str:
    if value is None or np.isnan(value):
        return "-"
    low, high = (f"{100 * part:{sign}.1f}" for part in interval)
    return f"{100 * value:{sign}.1f} [{low}, {high}]"


def _dollars(value: float | None, interval: Any) -> str:
    if value is None:
        return "-"
    low, high = (f"{1000 * part:.3g}" for part in interval)
    return f"{1000 * value:.3g} [{low}, {high}]"


def place(page: Path, text: str) -> None:
    """Put *text* where the section on quality of *page* stands, or at its end."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    old = old.replace("to be measured\n", "")
    found = re.search(r"^## Quality$.*?(?=^## |\Z)", old, re.MULTILINE | re.DOTALL)
    if found:
        new = old[: found.start()] + text + "\n" + old[found.end() :]
    else:
        new = old.rstrip("\n") + "\n\n" + text
    page.write_text(new.rstrip("\n") + "\n", encoding="utf-8")
