"""A secret is read when it is used, and never shown."""

import copy
import pickle

import pytest

from llmrouter_core import ConfigError, Secret


def test_a_secret_is_read_from_the_environment_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key that changes later is the key that is used; blanks around it are not part of it."""
    secret = Secret(env="A_KEY")
    monkeypatch.setenv("A_KEY", " one \n")

    assert secret.reveal() == "one"
    monkeypatch.setenv("A_KEY", "two")
    assert secret.reveal() == "two"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_unset_secret_says_which_variable_to_set(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unset, empty and blank are the same mistake."""
    monkeypatch.delenv("A_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    secret = Secret(env="A_KEY")

    assert secret.missing
    with pytest.raises(ConfigError, match="A_KEY is not set; set it: export A_KEY=…"):
        secret.reveal()


def test_a_secret_never_shows_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither printed, formatted, pickled nor copied into a file."""
    monkeypatch.setenv("A_KEY", "k-secret")

    for secret in (Secret("k-secret"), Secret(env="A_KEY")):
        assert not secret.missing
        assert "k-secret" not in f"{secret} {secret!r} {[secret]}"
        for leak in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled"):
                leak(secret)


@pytest.mark.parametrize(
    "env", ["", " ", "sk-abc-123", "A=B", "A\0", "1A", "a key", "gsk_aB3dE6", "ab12" * 16]
)
def test_what_cannot_be_a_variable_is_refused_and_not_shown(env: str) -> None:
    """It may be the key itself, put in the wrong place."""
    with pytest.raises(ValueError, match="takes the name of a variable") as caught:
        Secret(env=env)

    assert not env.strip() or env not in str(caught.value)


def test_a_secret_is_a_value_or_a_variable() -> None:
    """Neither and both are mistakes; an empty value says so when it is used."""
    for arguments in ({}, {"value": "x", "env": "X"}):
        with pytest.raises(ValueError, match="either a value or the name of a variable"):
            Secret(**arguments)
    with pytest.raises(ConfigError, match="the secret is empty"):
        Secret("").reveal()


def test_secrets_compare_by_what_they_hold() -> None:
    """So that options holding them compare too."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret(env="A"), Secret(env="A"), Secret("A")}) == 2
    assert Secret("a") != "a"
