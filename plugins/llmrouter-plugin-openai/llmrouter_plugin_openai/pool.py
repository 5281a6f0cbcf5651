"""The pool for configs that list no models: a dated table of public facts."""

import tomllib
from importlib.resources import files

from llmrouter_core import Model, Price


def read_pool(caller: str) -> tuple[Model, ...]:
    """Return the models of `pool.toml`, served by *caller*."""
    text = files(__package__).joinpath("pool.toml").read_text(encoding="utf-8")
    return tuple(
        Model(name=name, caller=caller, **{**facts, "price": Price(**facts["price"])})
        for name, facts in tomllib.loads(text)["model"].items()
    )
