"""The toys do what the page says."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from math import inf

import numpy as np
import pytest

from llmrouter_core import LLMRouter, Model, Query, RateLimited, Unavailable
from llmrouter_core.solving import SingleShot
from llmrouter_core.testing import (
    EchoCaller,
    RecordingSession,
    ScriptedCaller,
    StoppedClock,
    ToyEmbedder,
    ToyScorer,
    ToySelector,
    toy_dataset,
    toy_models,
    toy_scores,
)


def test_the_toy_outcomes_reward_reading_the_text() -> None:
    """Knowing the topic beats the best single model, and that beats chance."""
    dataset = toy_dataset(gaps=0.0)
    topics = np.array([task == "maths" for task in dataset.tasks])
    chance = dataset.quality.mean()
    single = dataset.quality.mean(axis=0).max()
    informed = np.where(topics, dataset.quality[:, 1], dataset.quality[:, 0]).mean()

    assert chance + 0.05 < single < informed - 0.05


def test_the_toy_outcomes_have_gaps_and_a_seed() -> None:
    """About a tenth of the cells is unknown, no query wholly, and a seed gives equal numbers."""
    first, again, other = toy_dataset(), toy_dataset(), toy_dataset(seed=1)
    gaps = np.isnan(first.quality)

    assert 0.03 < gaps.mean() < 0.15
    assert not gaps.all(axis=1).any()
    assert np.array_equal(first.quality, again.quality, equal_nan=True)
    assert first.queries == again.queries
    assert first.queries != other.queries
    assert len(set(first.ids)) == len(first) == 120


def test_toy_scores_belong_to_their_query_and_model() -> None:
    """A cell is the same wherever its row and its column stand."""
    queries, models = toy_dataset().queries[:4], toy_models()
    whole = toy_scores(queries, models)
    part = toy_scores(queries[::-1], models[1:])

    assert set(whole) == {"quality", "cost", "latency", "output_tokens"}
    for name, scores in part.items():
        assert np.array_equal(scores.values, whole[name].values[::-1, 1:])


def test_the_toys_make_a_router() -> None:
    """They compose like any other parts."""
    router = LLMRouter(
        models=toy_models(), parts=[ToyEmbedder(), ToyScorer(), ToySelector(), EchoCaller()]
    )
    with router:
        answer = router.route("say this again")
    best = max(
        answer.decision.models,
        key=lambda m: answer.decision.scores["quality"].values[answer.decision.models.index(m)],
    )

    assert str(answer) == "say this again"
    assert answer.model == best.name
    assert answer.usage.output_tokens > 0
    assert not answer.usage.estimated


def test_the_echo_counts_what_it_opened_and_closed() -> None:
    """An abandoned stream counts as closed once it was closed."""
    caller = EchoCaller(answer="one two three")
    [model, *_] = toy_models()

    async def stop_early() -> tuple[int, int]:
        async with aclosing(caller.call(model)(Query(text="hi").request)) as chunks:
            await anext(chunks)
            return caller.opened, caller.closed

    assert asyncio.run(stop_early()) == (1, 0)
    assert caller.closed == 1
    assert [request.text for request in caller.requests] == ["hi"]


def said(caller: ScriptedCaller, model: Model) -> tuple[str, str | None]:
    """Return the text and the finish reason of a call."""

    async def ask() -> tuple[str, str | None]:
        chunks = []
        async with aclosing(caller.call(model)(Query(text="hi there").request)) as stream:
            async for chunk in stream:
                chunks.append(chunk)
        return "".join(c.text for c in chunks), chunks[-1].finish if chunks else None

    return asyncio.run(ask())


def test_the_scripted_caller_plays_act_by_act_and_the_last_for_good() -> None:
    """Errors before and after a word, an answer that breaks off, and whole ones."""
    down, cut = RateLimited("slow down"), Unavailable("cut")
    caller = ScriptedCaller([down, ("well, ", cut), ("a", "b", 0.0), ("a", 0.001, "b"), "yes"])
    [model, *_] = toy_models()

    for error in (down, cut):
        with pytest.raises(type(error)) as raised:
            said(caller, model)
        assert raised.value is error
    assert said(caller, model) == ("ab", None)
    assert said(caller, model) == ("ab", "stop")
    assert [said(caller, model) for _ in range(2)] == [("yes", "stop")] * 2
    assert (caller.asked, caller.closed) == (["small"] * 6, 6)


def test_each_model_may_have_its_own_script() -> None:
    """One without a script echoes, and one of another caller is not served."""
    small, maths, _ = toy_models()
    caller = ScriptedCaller({"small": ["a", "b"]}, name="toy")

    assert said(caller, small) == ("a", "stop")
    assert said(caller, maths) == ("hi there", "stop")
    assert said(caller, small) == ("b", "stop")
    assert caller.call(Model(name="x", caller="toy")) is not None
    assert caller.call(Model(name="x", caller="other")) is None
    assert ScriptedCaller().call(Model(name="x", caller="other")) is not None


def test_infinite_seconds_last_until_the_stream_is_closed() -> None:
    """As of a provider that has fallen silent."""
    caller = ScriptedCaller([("well", inf)])
    [model, *_] = toy_models()

    async def wait() -> None:
        async with aclosing(caller.call(model)(Query(text="hi").request)) as chunks:
            assert (await anext(chunks)).text == "well"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(chunks), 0.02)
        assert caller.closed == 1

    asyncio.run(wait())


def test_a_stopped_clock_stands_still() -> None:
    """Until it is told to move."""
    clock = StoppedClock()
    before = clock()
    clock.now += 5.0

    assert clock() == before + 5.0


def test_the_recording_session_notes_verbs_calls_and_strangers() -> None:
    """A solver finds a real session in it, and the test finds what it did there."""
    session = RecordingSession()

    async def solve() -> None:
        async with aclosing(SingleShot()._answer(session, Query(text="hi"))) as chunks:
            async for _ in chunks:
                pass

    asyncio.run(solve())

    assert session.verbs == ["decide", "stream"]
    assert [name for name, _ in session.asked] == [session.decision.model.name]
    assert len(session.steps) == 1
    assert session.strangers == []
    assert session._calls
    assert session.strangers == ["_calls"]
