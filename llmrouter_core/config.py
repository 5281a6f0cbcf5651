"""From a TOML file or a dictionary to parts: strict, and every mistake is a sentence.

A config is flat. `[model.NAME]` lists the pool, `[scorer.NAME]` and `[caller.NAME]` are named
parts, `[embedder]`, `[selector]` and `[solver]` single ones, `[[extension]]` a list. The one
reserved key of a part is `use`; the rest are the fields of its attrs class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from llmrouter_core.catalogue import Entry, canonical, discover, find
from llmrouter_core.errors import ConfigError, PluginError
from llmrouter_core.recipes import recipe, resolve
from llmrouter_core.secret import Secret
from llmrouter_core.structuring import near, show, structure
from llmrouter_core.tables import Tables, read
from llmrouter_core.types import Model

SINGLE = ("embedder", "selector", "solver")
NAMED = ("scorer", "caller")
TABLES = ("router", "model", *SINGLE, *NAMED, "extension", "api_key")


@frozen
class Spec:
    """A part as a config describes it, not yet built.

    Attributes:
        kind: Kind of the part.
        name: The user's name for it; for single parts their kind, for extensions their plugin.
        use: Name of the plugin.
        options: Values of its fields.
    """

    kind: str
    name: str
    use: str
    options: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where a message says this part stands."""
        return self.kind if self.kind in SINGLE else f"{self.kind}.{self.name}"


@frozen
class Part:
    """A part that has been built, and what messages call it."""

    kind: str
    name: str
    label: str
    plugin: Any
    entry: Entry | None = None

    @property
    def place(self) -> str:
        """Name of the part in a manager, in artefacts and in messages."""
        return f"{self.kind}.{self.name}"


@frozen(kw_only=True)
class RouterOptions:
    """The `[router]` table.

    Attributes:
        use: The recipe this config starts from.
        artefacts: Folder of what `llmrouter train` learned, relative to the config.
        fallbacks: How many further models of the ranking may be asked when one fails.
    """

    use: str | None = None
    artefacts: str | None = None
    fallbacks: int = field(default=3, validator=attrs.validators.ge(0))


@frozen(kw_only=True)
class Config:
    """A whole composition.

    Attributes:
        source: The file, or what the dictionary is called in messages.
        folder: What relative paths start from.
        router: The `[router]` table.
        models: The pool as listed; empty means that a caller's own pool is used.
        parts: Every part, in the order of the config.
        tables: The expanded tables, as `llmrouter show` prints them.
    """

    source: str
    folder: Path
    router: RouterOptions
    models: tuple[Model, ...]
    parts: tuple[Part, ...]
    tables: Tables = field(repr=False)


# ---------------------------------------------------------------------------- expanding


def expand(
    raw: Mapping[str, Any], source: str, entries: Iterable[Entry], *, trusted: bool
) -> dict[str, Any]:
    """Return *raw* with shorthands written out and its recipe's tables filled in.

    A string for a part means `{use = "…"}`. The user's tables replace the recipe's tables of
    the same kind and name, whole table by whole table. *trusted* allows a literal `api_key`.

    Raises:
        ConfigError: A table is unknown or has the wrong shape, or the recipe does not exist.
    """
    problems: list[str] = []
    tables = fill(raw, entries, problems, trusted=trusted)
    if problems:
        raise ConfigError(source, problems)
    return tables


def fill(
    raw: Mapping[str, Any], entries: Iterable[Entry], problems: list[str], *, trusted: bool
) -> dict[str, Any]:
    """Return what `expand` does, as far as that is possible; *problems* receives the rest."""
    mine = _normal(raw, problems, trusted=trusted)
    base = _base(mine["router"], entries, problems)
    merged: dict[str, Any] = {"router": {**base.get("router", {}), **mine["router"]}}
    for kind in ("model", *SINGLE, "extension"):
        merged[kind] = mine[kind] or base.get(kind) or type(mine[kind])()
    for kind in NAMED:  # the user's are asked first
        theirs = base.get(kind, {})
        merged[kind] = mine[kind] | {k: v for k, v in theirs.items() if k not in mine[kind]}
    key = mine.get("api_key")
    if key is not None and "default" in merged["caller"]:
        merged["caller"]["default"] = {"api_key": key, **merged["caller"]["default"]}
    elif key is not None:
        problems.append(
            "'api_key' belongs to the default caller, and there is none; put it in your "
            "[caller.NAME] @ api_key"
        )
    return merged


def _base(router: dict[str, Any], entries: Iterable[Entry], problems: list[str]) -> dict[str, Any]:
    """Return the tables of the recipe that *router* names, and set `use` to its proper name.

    A recipe that cannot be had leaves `use` at None.
    """
    if "use" not in router:
        return {}
    use, router["use"] = router["use"], None
    if not isinstance(use, str) or not use.strip():
        problems.append(f"expected the name of a router, got {show(use)} @ router.use")
        return {}
    try:
        tables = recipe(use, entries)
    except PluginError as error:
        problems.append(f"{error} @ router")
        return {}
    router["use"] = resolve(use)
    return _normal(tables, problems, trusted=False)


def _normal(raw: Mapping[str, Any], problems: list[str], *, trusted: bool) -> dict[str, Any]:
    """Return *raw* with every known table present and in its long form."""
    tables: dict[str, Any] = {kind: {} for kind in ("router", "model", *SINGLE, *NAMED)}
    tables["extension"] = []
    for key, value in raw.items():
        if key not in TABLES:
            problems.append(f"unknown table '{key}'{near(str(key), TABLES)}")
        elif key == "api_key":
            tables[key] = Secret(value) if isinstance(value, str) and trusted else value
        elif key == "router" or key in SINGLE:
            tables[key] = _long(value, key, problems) or {}
        elif key == "extension":
            items = [value] if isinstance(value, str | Mapping) else value
            if not isinstance(items, list | tuple):
                problems.append(f"expected [[extension]] tables, got {show(value)} @ extension")
                continue
            long = (_long(item, f"extension.{i}", problems) for i, item in enumerate(items, 1))
            tables[key] = [item for item in long if item is not None]
        elif isinstance(value, str) and key in NAMED:
            tables[key] = {"default" if key == "caller" else "quality": {"use": value}}
        elif isinstance(value, Mapping):
            tables[key] = _named(key, value, problems)
        else:
            problems.append(f"expected [{key}.NAME] tables, got {show(value)} @ {key}")
    return tables


def _long(value: Any, place: str, problems: list[str]) -> dict[str, Any] | None:
    """Return a part's table, whose short form is the name of its plugin."""
    if isinstance(value, str):
        return {"use": value}
    if isinstance(value, Mapping):
        return dict(value)
    problems.append(f"expected a table or a name, got {show(value)} @ {place}")
    return None


def _named(kind: str, tables: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the tables `[kind.NAME]` by name, in their long form."""
    found = {}
    for name, table in tables.items():
        if isinstance(table, str) and kind in NAMED and name != "use":
            found[name] = {"use": table}
        elif isinstance(table, Mapping):
            found[name] = dict(table)
        else:
            hint = f"; write [{kind}.NAME]" if name in ("use", "id") else ""
            problems.append(f"expected a table, got {show(table)}{hint} @ {kind}.{name}")
    return found


# ---------------------------------------------------------------------------- building

_NEEDED = {
    "selector": 'add: selector = "utility", or start from a recipe: router = "knn"',
    "caller": 'add: caller = "openai" (or "sim" to try without a key)',
}


def load(source: str | Path | Mapping[str, Any], entries: Sequence[Entry] | None = None) -> Config:
    """Return the composition that *source* describes, its parts built.

    Raises:
        ConfigError: With every problem found, not only the first.
    """
    name, folder, raw = read(source)
    known = discover() if entries is None else entries
    problems: list[str] = []
    tables = fill(raw, known, problems, trusted=isinstance(source, Mapping))
    if tables["router"].get("use", "") is not None:  # a lost recipe is one problem, not three
        problems.extend(
            f"no {kind}; {hint} @ {kind}"
            for kind, hint in _NEEDED.items()
            if not tables[kind] and kind not in raw
        )
    router = structure(tables["router"], RouterOptions, "router", problems, folder)
    models = _models(tables, problems, folder)
    parts = [_part(spec, known, problems, folder) for spec in _specs(tables, problems)]
    if problems:
        raise ConfigError(name, problems)
    return Config(
        source=name,
        folder=folder,
        router=router,
        models=models,
        parts=tuple(part for part in parts if part is not None),
        tables=tables,
    )


def _models(tables: Tables, problems: list[str], folder: Path) -> tuple[Model, ...]:
    """Return the pool; each model's caller exists, and at least one model is routable."""
    models = []
    for name, table in tables["model"].items():
        place = f"model.{name}"
        if not isinstance(name, str) or not name.strip():
            problems.append(f"a model needs a name that is not empty @ {place}")
        elif "name" in table:
            problems.append(f"unknown option 'name'; the table's own name is it @ {place}")
        else:
            models.append(structure({**table, "name": name}, Model, place, problems, folder))
    callers = list(tables["caller"])
    built = tuple(model for model in models if model is not None)
    for model in built:
        if model.caller is not None and model.caller not in callers:
            hint = near(model.caller, callers)
            problems.append(f"no [caller.{model.caller}]{hint} @ model.{model.name}.caller")
    if built and not any(model.routable for model in built):
        problems.append("no model is routable, so there is nothing to choose from @ model")
    return built


def _specs(tables: Tables, problems: list[str]) -> Iterable[Spec]:
    for kind in SINGLE:
        if tables[kind]:
            yield from _spec(kind, kind, tables[kind], problems)
    for kind in NAMED:
        for name, table in tables[kind].items():
            if re.fullmatch(r"[\w-]+", str(name)):  # it names a folder of artefacts
                yield from _spec(kind, str(name), table, problems)
            else:
                problems.append(f"a name is letters, digits, '-' and '_' @ {kind}.{name}")
    seen: set[str] = set()
    for place, table in enumerate(tables["extension"], start=1):
        name = canonical(str(table.get("use") or place).rpartition("/")[2])
        if name in seen:
            problems.append(f"'{name}' is listed twice @ extension.{name}")
        seen.add(name)
        yield from _spec("extension", name, table, problems)


def _spec(kind: str, name: str, table: Mapping[str, Any], problems: list[str]) -> Iterable[Spec]:
    spec = Spec(kind, name, table.get("use", ""), {k: v for k, v in table.items() if k != "use"})
    if "use" not in table:
        problems.append(f'which plugin? add: use = "…" @ {spec.place}')
    elif not isinstance(spec.use, str) or not spec.use.strip():
        problems.append(f"expected the name of a plugin, got {show(spec.use)} @ {spec.place}.use")
    else:
        yield spec


def _part(spec: Spec, entries: Sequence[Entry], problems: list[str], folder: Path) -> Part | None:
    try:
        entry = find(entries, spec.kind, spec.use)
        plugin_class = entry.load()
    except PluginError as error:
        problems.append(f"{error} @ {spec.place}")
        return None
    if not attrs.has(plugin_class):
        problems.append(f"{entry} is not an attrs class, so it has no options @ {spec.place}")
        return None
    options = dict(spec.options)
    if "name" in options:
        problems.append(f"unknown option 'name'; the table's own name is it @ {spec.place}")
        return None
    if any(f.alias == "name" for f in attrs.fields(plugin_class) if f.init):
        options["name"] = spec.name
    plugin = structure(options, plugin_class, spec.place, problems, folder, tuple(entries))
    if plugin is None:
        return None
    label = f"{spec.kind} '{spec.name}' ({entry.distribution} {entry.version})"
    return Part(spec.kind, spec.name, label, plugin, entry)
