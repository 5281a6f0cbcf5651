"""Where a decision is taken: on the loop while it is quick, in a thread otherwise."""

import asyncio
import threading
import time
from collections.abc import Callable

from llmrouter_core.pacing import Pace


def where() -> str:
    return threading.current_thread().name


def wait() -> str:
    time.sleep(0.02)
    return where()


def places(pace: Pace, *decides: Callable[[], str], size: int = 10) -> list[bool]:
    """Return for each decision whether it was taken on the loop's own thread."""

    async def run() -> list[str]:
        return [await pace.run(size, decide) for decide in decides]

    return [name == where() for name in asyncio.run(run())]


def test_the_first_decisions_are_taken_in_a_thread_and_quick_ones_on_the_loop() -> None:
    found = places(Pace(), *[where] * 500)
    assert not any(found[:30])
    assert found[-1]


def test_a_decision_that_waits_stays_in_a_thread() -> None:
    assert not any(places(Pace(), *[wait] * 55))


def test_after_a_slow_decision_on_the_loop_quickness_is_proved_again() -> None:
    pace = Pace()
    places(pace, *[where] * 500)
    found = places(pace, wait, *[where] * 500)
    assert found[0]
    assert not any(found[1:31])
    assert found[-1]


def test_decisions_that_are_slow_again_and_again_stay_in_a_thread() -> None:
    pace = Pace()
    for _ in range(5):
        places(pace, *[where] * 500)
        assert places(pace, wait) == [True]
    assert not any(places(pace, *[where] * 500))


def test_long_texts_are_decided_in_a_thread() -> None:
    pace = Pace()
    places(pace, *[where] * 500)
    assert places(pace, where, size=1_000_000) == [False]


def test_errors_are_raised_from_both_places() -> None:
    def fail() -> str:
        raise KeyError("x")

    pace = Pace()
    for _ in range(2):
        try:
            places(pace, fail)
        except KeyError:
            places(pace, *[where] * 500)
        else:
            raise AssertionError


def test_a_long_calm_makes_up_for_a_slow_decision() -> None:
    pace = Pace()
    for _ in range(4):
        places(pace, *[where] * 500)
        assert places(pace, wait) == [True]
    places(pace, *[where] * 10_200)
    assert places(pace, wait) == [True]
    assert places(pace, *[where] * 500)[-1]


def work() -> str:
    """Compute for longer than nobody notices."""
    ends = time.thread_time() + 0.004
    while time.thread_time() < ends:
        sum(range(100))
    return where()


def test_a_decision_that_computes_for_long_stays_in_a_thread() -> None:
    assert not any(places(Pace(), *[work] * 55))


def test_one_long_decision_among_many_is_an_accident() -> None:
    assert places(Pace(), *[where] * 20, work, *[where] * 21)[-1]


def test_many_long_decisions_among_quick_ones_are_none() -> None:
    assert not any(places(Pace(), *[work, *[where] * 8] * 12))


def test_waiting_for_a_turn_beside_a_busy_loop_neither_proves_nor_disproves() -> None:
    pace = Pace()
    found = places(pace, *[where] * 15, *[wait] * 5, *[where] * 16)
    assert not any(found[:35])
    assert found[-1]
