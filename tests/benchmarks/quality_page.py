"""The page on quality: what `quality.py` measured, as Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from sets import TITLES

AUTO, BEST, ZERO = "auto", "best single", "zero router"
_UPSTREAM = "upstream "

_HOW = """\
Every house is used as it ships, every option at its default, over the same embeddings
({embeddings}); the defaults were chosen on train rows. *Test* is the mean of {seeds} seeds over
the test rows; *folds* decides each train row by a router that learned from the others of {folds}
folds, and has many more rows. Figures are in %, brackets hold 95 % percentile bootstrap
intervals over groups of equal queries. *Gain* is over best single, the model with the best mean
score on the rows that were learned from, and paired. AIQ is the area under the cost-quality curve
along the knob (RouterBench, arXiv 2403.12031); *AIQ gain* is over the Zero router, the best that
coins between single models can do. Random, round-robin, smallest and largest have no knob.
`llm-judge` and `rules` are not here: the one needs a model that answers, the other rules.
"""


def write(done: list[dict[str, Any]], options: Any) -> None:
    """Print the section on quality, and put it into the page of *options* if there is one."""
    text = section(done, options)
    print(text)
    if options.out is not None:
        place(options.out, "Quality", text)


def section(done: list[dict[str, Any]], options: Any) -> str:
    """Return the section as Markdown."""
    how = _HOW.format(embeddings=options.embeddings, seeds=options.seeds, folds=options.folds)
    lines = [
        "## Quality",
        "",
        "Made by one command, from recorded outcomes that are not part of this project:",
        "",
        "```text",
        f"python tests/benchmarks/quality.py FOLDER… --embeddings {options.embeddings} "
        f"--seeds {options.seeds} --folds {options.folds} --resamples {options.resamples} "
        "--peers peers.json --out docs/benchmarks.md",
        "```",
        "",
        *how.splitlines(),
        "",
        *_averages(done),
        *_unseen(done),
        *_peers(done),
    ]
    for one in done:
        lines += _set(one)
    return "\n".join(lines).rstrip("\n") + "\n"


def _averages(done: list[dict[str, Any]]) -> list[str]:
    """Return every house's mean over the sets, and what `auto` has over it."""
    lines = [
        f"### Averages over {len(done)} sets",
        "",
        "| router | gain, test | gain, folds | AIQ gain, test | AIQ gain, folds "
        "| auto above it, score, folds | auto above it, AIQ, folds |",
        "|---|---|---|---|---|---|---|",
    ]
    priced = [one for one in done if one["test"].aiq]
    for name in [*_shared(done, "folds"), BEST]:
        cells = []
        for view in ("test", "folds"):
            cells.append(_mean([one[view].score[name] - one[view].score[BEST] for one in done]))
        for view in ("test", "folds"):
            cells.append(
                _mean([one[view].aiq[name] - one[view].aiq[ZERO] for one in priced])
                if all(name in one[view].aiq for one in priced)
                else "-"
            )
        cells.append(_mean([one["folds"].score[AUTO] - one["folds"].score[name] for one in done]))
        rival = ZERO if name == BEST else name
        cells.append(
            _mean([one["folds"].aiq[AUTO] - one["folds"].aiq[rival] for one in priced])
            if all(rival in one["folds"].aiq for one in priced)
            else "-"
        )
        lines.append(f"| {_bold(name)} | {' | '.join(cells)} |")
    return [*lines, "", f"AIQ over the {len(priced)} sets whose costs are known.", ""]


def _unseen(done: list[dict[str, Any]]) -> list[str]:
    """Return the table of tasks that were left out of training."""
    found = [one for one in done if one["unseen"] is not None]
    if not found:
        return []
    routers = list(found[0]["unseen"].facts)
    lines = [
        "### Tasks never seen in training",
        "",
        "Each task is left out of training in turn and all of its rows are decided; gain over the",
        "best single model of the rows that were learned from.",
        "",
        f"| set | rows | {' | '.join(routers)} | auto above linear | auto above knn |",
        "|---|---|" + "---|" * (len(routers) + 2),
    ]
    for one in found:
        view = one["unseen"]
        gains = [_figure(view.score[name] - view.score[BEST]) for name in routers]
        gains += [_figure(view.score[AUTO] - view.score[name]) for name in ("linear", "knn")]
        lines.append(f"| {_title(one)} | {view.queries:,} | {' | '.join(gains)} |")
    views = [one["unseen"] for one in found]
    means = [_mean([v.score[name] - v.score[BEST] for v in views]) for name in routers]
    means += [_mean([v.score[AUTO] - v.score[name] for v in views]) for name in ("linear", "knn")]
    lines.append(f"| **average** | | {' | '.join(means)} |")
    return [*lines, ""]


def _peers(done: list[dict[str, Any]]) -> list[str]:
    """Return our houses beside the routers of the same name of the original library."""
    names = [n for n in _shared(done, "test", also_upstream=True) if n.startswith(_UPSTREAM)]
    if not names:
        return []
    lines = [
        "### Beside the original library",
        "",
        "`llmrouter-lib` 0.4.0 in its own environment, unpatched but for a look-up of the same",
        "embeddings (`tests/benchmarks/peers`), trained on the same rows; ours minus theirs on",
        "the test rows. Its curve is its own benchmark's: a training for each weight of cost.",
        "Training is from outcomes in memory to a router that decides: of ours with calibration",
        "on five folds and regressions of lengths and latency, of theirs the algorithm alone;",
        "reading and labelling take it 0.2 to 4 s more. Its kNN only stores its rows, and its Elo",
        "gives every query the same answer, which nothing that reads a query does as quickly. A",
        "decision of ours predicts quality, length, latency and cost with errors, and ranks.",
        "",
        "| house | set | score, theirs | score, ours | ours above | AIQ above "
        "| training, times faster | decision, times faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for theirs in names:
        ours = _ours(theirs)
        scores, areas = [], []
        for one in done:
            view = one["test"]
            if theirs not in view.score or ours not in view.score:
                continue
            gain = view.score[ours] - view.score[theirs]
            scores.append(gain)
            both = theirs in view.aiq and ours in view.aiq
            if both:
                areas.append(view.aiq[ours] - view.aiq[theirs])
            mine, other = view.facts[ours], view.facts[theirs]
            lines.append(
                f"| {ours} | {_title(one)} | {_percent(view.score[theirs][0])} | "
                f"{_percent(view.score[ours][0])} | {_figure(gain)} | "
                f"{_figure(areas[-1]) if both else '-'} | "
                f"{_times(other['seconds'], mine['seconds'])} | "
                f"{_times(other['microseconds'], mine['microseconds'])} |"
            )
        lines.append(
            f"| **{ours}** | **average** | | | {_mean(scores)} | "
            f"{_mean(areas) if areas else '-'} | | |"
        )
    return [*lines, ""]


def _ours(theirs: str) -> str:
    name = theirs.removeprefix(_UPSTREAM).replace("_", "-").removesuffix("router")
    return {"hybridllm": "hybrid-llm", "hybrid": "hybrid-llm"}.get(name, name)


def _set(one: dict[str, Any]) -> list[str]:
    """Return the table of one set."""
    test, folds = one["test"], one["folds"]
    two = one["models"] == 2
    lines = [
        f"### {_title(one)}",
        "",
        f"{one['train']:,} train and {test.queries:,} test queries, {one['models']} models, "
        f"{one['tasks']} tasks; best single is `{one['best']}`.",
        "",
        "| policy | score, test | gain, test | gain, folds | AIQ, test | AIQ gain, folds "
        f"{'| APGR, test ' if two else ''}"
        "| Brier, folds | training, s | decision, us | artefact, kB |",
        "|---|---|---|---|---|---|---|---|---|---|" + ("---|" if two else ""),
    ]
    for name in test.score:
        facts = test.facts.get(name, {})
        cells = [
            _figure(test.score[name], ""),
            _figure(test.score[name] - test.score[BEST]),
            _figure(folds.score[name] - folds.score[BEST]) if name in folds.score else "-",
            _figure(test.aiq[name], "") if name in test.aiq else "-",
            _figure(folds.aiq[name] - folds.aiq[ZERO]) if name in folds.aiq else "-",
        ]
        if two:
            cells.append(_percent(facts.get("apgr", np.nan)))
        brier = folds.facts.get(name, {}).get("brier", np.nan)
        cells += [
            "-" if np.isnan(brier) else f"{brier:.4f}",
            _short(facts.get("seconds", np.nan)),
            _short(facts.get("microseconds", np.nan)),
            _short(facts.get("bytes", np.nan) / 1000),
        ]
        lines.append(f"| {_bold(name)} | {' | '.join(cells)} |")
    if ZERO in test.aiq:
        lines += ["", f"AIQ of the Zero router is {_figure(test.aiq[ZERO], '')} on the test rows."]
    return [*lines, ""]


def _shared(done: list[dict[str, Any]], view: str, *, also_upstream: bool = False) -> list[str]:
    """Return the routers that were measured on every set, or on any for the original's."""
    first = [name for one in done for name in one[view].facts]
    every = [set(one[view].facts) for one in done]
    return [
        name
        for name in dict.fromkeys(first)
        if (also_upstream and name.startswith(_UPSTREAM)) or all(name in one for one in every)
    ]


def _mean(arrays: list[Any], sign: str = "+") -> str:
    return _figure(np.mean(arrays, axis=0), sign) if arrays else "-"


def _figure(values: Any, sign: str = "+") -> str:
    """Return (R + 1,) *values* as their first and the interval of the others, in %."""
    if np.isnan(values[0]):
        return "-"
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return f"{100 * values[0]:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def _short(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


def _times(theirs: float, ours: float) -> str:
    return "-" if np.isnan(theirs) or not ours > 0 else f"{theirs / ours:.3g} x"


def _title(one: dict[str, Any]) -> str:
    return TITLES.get(one["name"], one["name"])


def _bold(name: str) -> str:
    return f"**{name}**" if name == AUTO else name


def place(page: Path, title: str, text: str) -> None:
    """Put *text* where the section *title* of *page* stands, or at its end."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    found = re.search(rf"^## {re.escape(title)}$.*?(?=^## |\Z)", old, re.MULTILINE | re.DOTALL)
    if found:
        new = old[: found.start()] + text + "\n" + old[found.end() :]
    else:
        new = old.rstrip("\n") + "\n\n" + text
    page.write_text(new.rstrip("\n") + "\n", encoding="utf-8")
