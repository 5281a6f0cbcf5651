"""Decision records: what live traffic leaves for later routers, and never at anybody's cost."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import define
from llmrouter_core import Chunk, LLMRouter, Model, Query, Request, Scores, Unavailable, hookimpl
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.records import Records

from .gateways import (
    POOL,
    KnobScorer,
    KnobSelector,
    LettersEmbedder,
    Running,
    ScriptCaller,
    polite,
)


def records(folder: Path) -> list[dict[str, Any]]:
    """Return what was recorded, in order."""
    lines = [line for path in folder.glob("decisions-*") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def test_a_record_says_what_was_decided_and_what_came_of_it(tmp_path: Path) -> None:
    left = [Unavailable("down")]

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        if request.payload.get("seed") and left:
            raise left.pop()
        async for chunk in polite(model, request):
            yield chunk

    options = ServerOptions(insecure=True, log=tmp_path)
    with Running(options=options) as served:
        served.caller.script = script
        ids = [
            served.chat(user="ada", llmrouter={"conversation": "c", "tradeoff": 0.6}).json[
                "llmrouter"
            ],
            served.chat(seed=1).json["llmrouter"],
            served.chat(model="large").json["llmrouter"],
        ]
        served.scorer.wrong = lambda: 1 / 0
        ids.append(served.chat().json["llmrouter"])
        served.chat(messages=[])  # was never understood, so there is nothing to record
    routed, fallback, pinned, failed = records(tmp_path)

    assert [row["id"] for row in (routed, fallback, pinned, failed)] == [i["id"] for i in ids]
    assert (routed["user"], routed["conversation"], routed["tradeoff"]) == ("ada", "c", 0.6)
    assert routed["models"] == ["small", "large"]
    assert routed["scores"] == {"quality": [0.5, 0.9], "cost": [0.001, 0.02]}
    assert (routed["chosen"], routed["answered"]) == ("small", "small")
    assert (routed["propensity"], routed["propensities"]) == (1.0, [1.0, 0.0])
    assert (routed["input_tokens"], routed["output_tokens"]) == (3, 2)
    assert routed["cost"] == pytest.approx(7e-6)
    assert routed["status"] == 200
    assert 0 < routed["seconds"] < 10
    # What stood first is what was chosen: an estimate of another policy needs that.
    assert (fallback["chosen"], fallback["answered"]) == ("small", "large")
    assert fallback["propensity"] == 1.0
    assert (pinned["chosen"], pinned["models"], pinned["scores"]) == ("large", ["large"], {})
    assert pinned["propensities"] is None
    assert failed["propensities"] is None
    assert not any("text" in row or "Hello" in json.dumps(row) for row in records(tmp_path))


@define(eq=False, kw_only=True)
class Drawn:
    """Says with which odds the models stood first, as an extension that draws does."""

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
        return Scores("propensity", np.array([[0.25, 0.75]] * len(queries)))


def test_the_odds_of_a_draw_are_recorded(tmp_path: Path) -> None:
    parts = [KnobScorer(), Drawn(), KnobSelector(), ScriptCaller()]
    options = ServerOptions(insecure=True, log=tmp_path)
    with Running(LLMRouter(models=POOL, parts=parts), options) as served:
        served.chat()
    [row] = records(tmp_path)

    assert (row["propensity"], row["propensities"]) == (0.25, [0.25, 0.75])
    assert "propensity" not in row["scores"]


def test_texts_and_embeddings_only_where_asked_for(tmp_path: Path) -> None:
    options = ServerOptions(insecure=True, log=tmp_path, log_texts=True, log_embeddings=True)
    with Running(options=options) as served:
        served.chat([{"role": "user", "content": "aab"}])
    [row] = records(tmp_path)

    assert row["text"] == "aab"
    assert row["embedding"] == "AAAAQAAAgD8="  # the counts 2 and 1, as float32


def test_records_are_lost_rather_than_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full is warned about once, counted, and nobody's problem."""
    lost: list[int] = []
    folder = tmp_path / "log"
    kept = Records(folder, lost.append)
    folder.rmdir()  # as good as a full disk: nothing can be written
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            kept.add({"id": str(number)})
            kept.flush()
    folder.mkdir()
    kept.add({"id": "later"})
    kept.close()

    assert sum(lost) == 3
    assert caplog.text.count("records are lost") == 1
    assert [row["id"] for row in records(folder)] == ["later"]


def test_other_houses_read_them(tmp_path: Path) -> None:
    log = pytest.importorskip("llmrouter_plugin_ope.log")
    options = ServerOptions(insecure=True, log=tmp_path)
    parts = [KnobScorer(), Drawn(), KnobSelector(), LettersEmbedder(), ScriptCaller()]
    with Running(LLMRouter(models=POOL, parts=parts), options) as served:
        note: Mapping[str, Any] = served.chat().json["llmrouter"]
        served.ask("/v1/feedback", {"id": note["id"], "reward": 0.5})
        served.chat(model="large")
    found = log.Log.read(tmp_path)

    assert found.reward.tolist() == [0.5]
    assert found.propensities.tolist() == [[0.25, 0.75]]
