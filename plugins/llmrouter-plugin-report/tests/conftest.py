"""Reports to write pages about, made from the figures of imagined models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def _spread(value: float, room: float) -> list[float]:
    return [value - room, value + room]


def _row(policy: str, quality: float, cost: float | None, gain: float, **more: Any) -> Any:
    return {
        "policy": policy,
        "quality": quality,
        "quality_interval": _spread(quality, 0.02),
        "cost": cost,
        "cost_interval": None if cost is None else [0.93 * cost, 1.07 * cost],
        "gain": gain,
        "gain_interval": _spread(gain, 0.015),
        "shares": {},
        "answered": 900,
        "regret": 0.93 - quality,
        **more,
    }


def _point(label: str, quality: float, cost: float | None) -> Any:
    found = _row(label, quality, cost, 0.0)
    names = ("quality", "quality_interval", "cost", "cost_interval")
    return {"label": label, **{name: found[name] for name in names}}


def make(models: int = 6, gain: float = 0.04, costs: bool = True) -> dict[str, Any]:
    """Return a whole report, as `report.json` holds it."""
    rng = np.random.default_rng(models)
    names = [f"maker/model-{n}" for n in range(models)]
    spent = np.sort(10 ** rng.uniform(-5, -2, models))
    score = np.clip(0.45 + 0.12 * np.log10(spent / 1e-5) + rng.normal(0, 0.04, models), 0, 0.99)
    best = int(np.argmax(score))

    def paid(value: float) -> float | None:
        return float(value) if costs else None

    def always(model: int) -> dict[str, float]:
        return {name: float(n == model) for n, name in enumerate(names)}

    top, dear = float(score[best]), float(spent[best])
    shares = dict(zip(names, rng.dirichlet(np.ones(models)), strict=True))
    rows = [
        _row("router", top + gain, paid(0.4 * dear), gain, shares=shares),
        _row("random", float(score.mean()), paid(spent.mean()), -0.1,
             shares=dict.fromkeys(names, 1 / models)),
        _row("cheapest", float(score[0]), paid(spent[0]), -0.2, shares=always(0)),
        _row("largest", float(score[-1]), paid(spent[-1]), -0.01, shares=always(models - 1)),
        _row("best single", top, paid(dear), 0.0, shares=always(best)),
        _row("oracle", 0.95, paid(0.1 * dear), 0.2, shares=shares),
    ]  # fmt: skip
    knob = np.linspace(0, 1, 9)
    curve = [
        _point(f"{t:.2f}", top + gain - 0.25 * t**3, paid(dear * 10 ** (-1.8 * t))) for t in knob
    ]
    bins = [
        [p, float(np.clip(p + rng.normal(0, 0.05), 0, 1)), 90] for p in np.linspace(0.1, 0.9, 9)
    ]
    figure = {"value": 0.61, "interval": [0.58, 0.64]}
    return {
        "rows": rows,
        "queries": 900,
        "resamples": 1000,
        "seed": 0,
        "curve": curve,
        "singles": [
            _point(name, float(q), paid(c)) for name, q, c in zip(names, score, spent, strict=True)
        ],
        "aiq": figure,
        "zero_aiq": {"value": 0.55, "interval": [0.52, 0.58]},
        "aiq_gain": {"value": 0.06, "interval": [0.03, 0.09]},
        "pair": [names[0], names[-1]],
        "apgr": figure,
        "cpt50": {"value": 0.31, "interval": [0.2, 0.4]},
        "cost_at_quality": {"value": None, "interval": [0.4, None]},
        "flip_rate": {"value": 0.07, "interval": [0.05, 0.09]},
        "calibration": [
            {"model": name, "ece": 0.041, "brier": 0.17, "bins": bins} for name in names
        ],
        "tasks": [
            {
                "task": task,
                "queries": 150,
                "router": top + at,
                "best_single": top,
                "oracle": 0.95,
                "gain": at,
                "gain_interval": _spread(at, 0.03),
            }
            for task, at in (("code", 0.09), ("law", -0.05), ("maths", 0.01), ("", 0.0))
        ],
        "card": {
            "parts": [
                {"place": "scorer.quality", "part": "knn", "distribution": None, "version": "1"}
            ],
            "data": {"test": {"file": "test.jsonl", "sha256": "9f" * 32}},
            "versions": {"llmrouter-core": "0.1.0"},
            "train": {"queries": 2100},
        },
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a report into a run's folder, and returns the folder."""

    def write(data: Any, name: str = "run") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps(data), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def whole() -> Callable[..., dict[str, Any]]:
    """A function that makes a whole report of imagined models."""
    return make
