"""Errors survive the way between processes."""

import pickle

from llmrouter_core import AllModelsFailed, ConfigError, RateLimited, TimedOut


def test_a_config_error_keeps_its_problems() -> None:
    """Source and problems come out as they went in."""
    error = pickle.loads(pickle.dumps(ConfigError("router.toml", ["one @ a", "two @ b"])))

    assert (error.source, error.problems) == ("router.toml", ("one @ a", "two @ b"))
    assert str(error) == "router.toml: one @ a\nrouter.toml: two @ b"


def test_a_failed_call_keeps_model_status_and_wait() -> None:
    """Also inside the error that lists every failure."""
    limited = RateLimited("slow down", model="small", status=429, retry_after=2.0)
    error = pickle.loads(pickle.dumps(AllModelsFailed([limited, TimedOut("late")])))

    first = error.failures[0]
    assert (first.model, first.status, first.retry_after) == ("small", 429, 2.0)
    assert str(error) == "no model answered: slow down; late"
