"""What is special about the sim caller."""

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing

import pytest
from attrs import evolve
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    Chunk,
    ConfigError,
    IncompleteStream,
    LLMRouter,
    Model,
    RateLimited,
    Request,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_sim import SimCaller
from llmrouter_plugin_sim.answers import pieces, reply
from llmrouter_plugin_sim.families import FAMILIES
from llmrouter_plugin_sim.faults import FAULTS
from llmrouter_plugin_sim.pool import cards, models
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

QUESTION = "What is 17 * 23?"


def ask(
    caller: SimCaller, text: str = QUESTION, name: str = "sim-large", **options: int
) -> list[Chunk]:
    call = caller.call(Model(name=name))
    assert call is not None

    async def collect() -> list[Chunk]:
        async with aclosing(call(Request.of(text, **options))) as chunks:
            return [chunk async for chunk in chunks]

    return asyncio.run(collect())


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_the_documented_example_is_answered_right() -> None:
    """The smallest model may be wrong, but for this query and seed 0 it is not."""
    with LLMRouter({"router": "smallest_llm", "caller": "sim"}) as router:
        answer = router.route(QUESTION)

    assert "391" in str(answer)
    assert answer.model == "sim-tiny"
    assert answer.cost
    assert answer.seconds > 0


def test_the_pool_has_a_card_with_every_skill_for_every_model() -> None:
    """What core reads and what the simulation reads fit together."""
    assert [model.name for model in SimCaller().pool()] == list(cards())
    for model in models():
        assert model.price is not None
        assert model.price.output > model.price.input > 0
        assert model.size
        assert model.context
        assert "simulated" in model.tags
        assert set(cards()[model.id].skill) == set(FAMILIES)


def test_no_model_is_best_at_everything_and_specialists_beat_the_large_one() -> None:
    """There is something for a router to win."""
    best = {
        family: max(cards(), key=lambda name: cards()[name].skill[family]) for family in FAMILIES
    }

    assert set(best.values()) == {"sim-math", "sim-coder", "sim-large"}
    assert list(best.values()).count("sim-large") > len(FAMILIES) / 2


def test_answers_are_right_about_as_often_as_skills_say() -> None:
    """Over many queries the share of right answers is the mean chance."""
    queries = [f"What is {a} * {b}?" for a in range(11, 51) for b in range(11, 51)]
    right = [reply(0, "sim-large", query).right for query in queries]
    chance = cards()["sim-large"].skill["arithmetic"] ** 2

    assert abs(sum(map(bool, right)) / len(right) - chance) < 0.04


def test_another_process_gives_the_same_answers() -> None:
    """Outcomes are drawn from a hash that does not change between processes."""
    program = (
        "from llmrouter_plugin_sim.answers import reply\n"
        "from llmrouter_plugin_sim.pool import cards\n"
        "import json\n"
        f"print(json.dumps([reply(3, name, {QUESTION!r}).text for name in cards()]))"
    )
    there = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert json.loads(there.stdout) == [reply(3, name, QUESTION).text for name in cards()]


def test_seeds_draw_different_outcomes() -> None:
    """Another seed is another world."""
    query = "What is 451 * 23 + 99?"
    worlds = {reply(seed, "sim-medium", query).right for seed in range(30)}

    assert worlds == {True, False}


def test_an_answer_streams_words_and_ends_with_usage() -> None:
    """Every event is a chunk of a chat completion that says it is simulated."""
    chunks = ask(SimCaller())
    last = chunks[-1]

    assert len(chunks) > 3
    assert last.finish == "stop"
    assert last.usage is not None
    assert last.usage.output_tokens == max(1, len(text_of(chunks)) // 4)
    assert last.usage.input_tokens == Request.of(QUESTION).input_tokens
    assert last.usage.seconds
    assert all(chunk.finish is None and chunk.usage is None for chunk in chunks[:-1])
    for chunk in chunks:
        assert chunk.event is not None
        assert chunk.event["object"] == "chat.completion.chunk"
        assert chunk.event["simulated"] is True
        assert chunk.event["choices"][0]["delta"].get("content", "") == chunk.text
        json.dumps(chunk.event)
    assert chunks[0].event["choices"][0]["delta"]["role"] == "assistant"


def test_a_changed_event_leaves_later_answers_alone() -> None:
    """Events are made anew for every call."""
    caller = SimCaller()
    chunks = ask(caller)
    chunks[0].event["choices"].clear()

    assert ask(caller)[0].event["choices"]


def test_the_limit_cuts_the_answer() -> None:
    """With too few tokens the answer ends with `length`, and counts only what was said."""
    whole = text_of(ask(SimCaller()))
    chunks = ask(SimCaller(), max_tokens=3)

    assert text_of(chunks) == whole[:12]
    assert chunks[-1].finish == "length"
    assert chunks[-1].usage.output_tokens == 3
    assert ask(SimCaller(), max_tokens=500)[-1].finish == "stop"


def test_a_limit_below_one_token_is_refused() -> None:
    """As at a real provider, such a request is at fault."""
    with pytest.raises(BadRequest, match="at least one token"):
        ask(SimCaller(), max_tokens=0)


def test_a_query_of_no_family_is_answered_honestly() -> None:
    """The model says that it is simulated, and what it could answer."""
    chunks = ask(SimCaller(), "Prove that 2 is prime.")

    assert "simulated model" in text_of(chunks)
    assert chunks[-1].finish == "stop"
    assert reply(0, "sim-large", "Prove that 2 is prime.").right is None


def test_an_image_without_text_is_answered_too() -> None:
    """A message without any text is no family's query."""
    call = SimCaller().call(Model(name="sim-tiny"))

    async def first() -> Chunk:
        parts = [{"type": "image_url", "image_url": {"url": "data:,"}}]
        request = Request(payload={"messages": [{"role": "user", "content": parts}]})
        async with aclosing(call(request)) as chunks:
            return await anext(chunks)

    assert asyncio.run(first()).text


def test_strangers_and_models_of_other_callers_are_left_to_others() -> None:
    """Only a card's id is served, and only for this caller's name."""
    caller = SimCaller(name="pretend")

    assert caller.call(Model(name="gpt")) is None
    assert caller.call(Model(name="sim-tiny", caller="default")) is None
    assert caller.call(Model(name="cheap", id="sim-tiny", caller="pretend")) is not None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limit", RateLimited),
        ("unavailable", Unavailable),
        ("timeout", TimedOut),
        ("malformed", BadResponse),
        ("cut", IncompleteStream),
    ],
)
def test_a_fault_raises_its_typed_error(fault: str, error: type[CallError]) -> None:
    """Each fault is the error a real provider would cause."""
    with pytest.raises(error, match="simulated") as caught:
        ask(SimCaller(faults={fault: 1.0}))

    assert caught.value.model == "sim-large"
    assert (caught.value.retry_after is not None) == (fault == "rate_limit")


def test_a_cut_answer_has_a_beginning() -> None:
    """The stream ends in the middle, after something was said."""
    call = SimCaller(faults={"cut": 1.0}).call(Model(name="sim-large"))
    said = []

    async def read() -> None:
        async with aclosing(call(Request.of(QUESTION))) as chunks:
            async for chunk in chunks:
                said.append(chunk)

    with pytest.raises(IncompleteStream):
        asyncio.run(read())

    assert said
    assert all(chunk.finish is None for chunk in said)


def test_a_slow_call_takes_ten_times_as_long() -> None:
    """Nothing fails, the seconds grow."""
    usual = ask(SimCaller())[-1].usage.seconds
    slow = ask(SimCaller(faults={"slow": 1.0}))[-1].usage.seconds

    assert slow == pytest.approx(10 * usual)


def test_a_retry_can_succeed_and_the_faults_follow_the_seed() -> None:
    """Faults are drawn per call: some calls fail, others do not, the same ones each time."""

    def history(seed: int) -> list[str]:
        caller = SimCaller(seed=seed, faults={"unavailable": 0.3, "rate_limit": 0.2})
        outcomes = []
        for _ in range(60):
            try:
                ask(caller)
                outcomes.append("ok")
            except CallError as error:
                outcomes.append(type(error).__name__)
        return outcomes

    assert set(history(1)) == {"ok", "Unavailable", "RateLimited"}
    assert history(1) == history(1)
    assert history(1) != history(2)


def test_wrong_faults_are_refused() -> None:
    """Unknown names and impossible probabilities are sentences with a place."""
    with pytest.raises(ConfigError, match="no fault 'fire'"):
        LLMRouter(
            {
                "router": "smallest_llm",
                "caller": {"default": {"use": "sim", "faults": {"fire": 0.1}}},
            }
        )
    for faults in ({"cut": -0.1}, {"cut": 0.6, "slow": 0.6}, {"cut": float("nan")}):
        with pytest.raises(ValueError, match="probabilities"):
            SimCaller(faults=faults)
    assert SimCaller(faults=dict.fromkeys(FAULTS, 1 / len(FAULTS))).faults


def test_closing_early_ends_the_call() -> None:
    """A reader that has enough leaves no generator open, and the step says so."""
    router = LLMRouter({"router": "smallest_llm", "caller": "sim"})

    async def leave() -> list[str | None]:
        async with router:
            session = router.session()
            async with aclosing(session.stream("sim-large", Request.of(QUESTION))) as chunks:
                await anext(chunks)
            return [step.error for step in session.steps]

    assert asyncio.run(leave()) == ["abandoned by the reader"]


def test_real_time_sleeps_and_lets_the_clock_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is slept adds up to what is otherwise reported."""
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    simulated = ask(SimCaller())[-1].usage.seconds
    usage = ask(SimCaller(realtime=True))[-1].usage

    assert usage.seconds is None
    assert sum(slept) == pytest.approx(simulated)


def test_pieces_join_to_the_text_and_are_few() -> None:
    """However long an answer is, it comes in at most sixteen pieces."""
    for text in ("one", "two words", "a  double space\nand a line", "word " * 500):
        assert "".join(pieces(text)) == text
        assert 1 <= len(pieces(text)) <= 16


def test_an_id_makes_a_model_of_any_name() -> None:
    """A config may call a simulated model what it likes."""
    cheap = evolve(models()[0], name="cheap", id="sim-tiny")
    with LLMRouter(models=[cheap], parts=[SimCaller(), SmallestLlmSelector()]) as router:
        assert "391" in str(router.route(QUESTION))
