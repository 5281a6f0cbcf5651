"""From a TOML file or a dictionary to parts: strict, and every mistake is a sentence.

A config is flat. `[model.NAME]` lists the pool, `[scorer.NAME]` and `[caller.NAME]` are named
parts, `[embedder]`, `[selector]` and `[solver]` single ones, `[[extension]]` a list. The one
reserved key of a part is `use`; the rest are the fields of its attrs class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import attrs
import cattrs
from attrs import field, frozen
from cattrs.errors import ForbiddenExtraKeysError

from llmrouter_core.catalogue import Entry, discover, find
from llmrouter_core.errors import ConfigError, LLMRouterError, PluginError
from llmrouter_core.recipes import recipe, resolve
from llmrouter_core.secret import Secret
from llmrouter_core.tables import Tables, read
from llmrouter_core.types import Model

if TYPE_CHECKING:
    from cattrs import Converter

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
    mine = _normal(raw, problems, trusted=trusted)
    if problems:
        raise ConfigError(source, problems)
    use = mine["router"].get("use")
    base: dict[str, Any] = {}
    if use is not None:
        if not isinstance(use, str):
            raise ConfigError(source, [f"expected str, got {_show(use)} @ router.use"])
        try:
            base = _normal(recipe(use, entries), problems, trusted=False)
        except PluginError as error:
            raise ConfigError(source, [f"{error} @ router"]) from error
        mine["router"]["use"] = resolve(use)
    merged: dict[str, Any] = {"router": {**base.get("router", {}), **mine["router"]}}
    merged["model"] = mine["model"] or base.get("model", {})
    for kind in SINGLE:
        merged[kind] = mine[kind] or base.get(kind, {})
    for kind in NAMED:  # the user's are asked first
        merged[kind] = {**mine[kind], **{k: v for k, v in base.get(kind, {}).items()
                                         if k not in mine[kind]}}
    merged["extension"] = mine["extension"] or base.get("extension", [])
    key = mine.get("api_key")
    if key is not None:
        if "default" not in merged["caller"]:
            problem = "'api_key' belongs to the default caller, and there is none; put it in your"
            raise ConfigError(source, [f"{problem} [caller.NAME] @ api_key"])
        merged["caller"]["default"] = {"api_key": key, **merged["caller"]["default"]}
    return merged


def _normal(
    raw: Mapping[str, Any], problems: list[str], *, trusted: bool
) -> dict[str, Any]:
    """Return *raw* with every known table present and in its long form."""
    tables: dict[str, Any] = {"router": {}, "model": {}, "extension": []}
    tables |= {kind: {} for kind in (*SINGLE, *NAMED)}
    for key, value in raw.items():
        if key not in TABLES:
            problems.append(f"unknown table '{key}'{_near(str(key), TABLES)}")
        elif key == "api_key":
            if isinstance(value, str) and trusted:
                tables[key] = Secret(value)
            else:
                tables[key] = value
        elif key == "router" or key in SINGLE:
            if isinstance(value, str):
                tables[key] = {"use": value}
            elif isinstance(value, Mapping):
                tables[key] = dict(value)
            else:
                problems.append(f"expected a table or a name, got {_show(value)} @ {key}")
        elif key == "extension":
            items = [value] if isinstance(value, str | Mapping) else value
            if not isinstance(items, Sequence):
                problems.append(f"expected [[extension]] tables, got {_show(value)} @ extension")
                continue
            for place, item in enumerate(items, start=1):
                if isinstance(item, str | Mapping):
                    table = {"use": item} if isinstance(item, str) else dict(item)
                    tables[key].append(table)
                else:
                    where = f"extension.{place}"
                    problems.append(f"expected a table or a name, got {_show(item)} @ {where}")
        elif isinstance(value, str) and key in NAMED:
            tables[key] = {"default" if key == "caller" else "quality": {"use": value}}
        elif isinstance(value, Mapping):
            for name, table in value.items():
                if isinstance(table, str) and key in NAMED and name != "use":
                    tables[key][name] = {"use": table}
                elif isinstance(table, Mapping):
                    tables[key][name] = dict(table)
                else:
                    hint = f"write [{key}.NAME]" if key in value or name in ("use", "id") else ""
                    got = f"expected a table, got {_show(table)} @ {key}.{name}"
                    problems.append(f"{got}{'; ' + hint if hint else ''}")
        else:
            problems.append(f"expected [{key}.NAME] tables, got {_show(value)} @ {key}")
    return tables


# ---------------------------------------------------------------------------- building


def load(
    source: str | Path | Mapping[str, Any], entries: Sequence[Entry] | None = None
) -> Config:
    """Return the composition that *source* describes, its parts built.

    Raises:
        ConfigError: With every problem found, not only the first.
    """
    name, folder, raw = read(source)
    known = discover() if entries is None else entries
    tables = expand(raw, name, known, trusted=isinstance(source, Mapping))
    problems: list[str] = []
    router = _structure(tables["router"], RouterOptions, "router", problems)
    models = [
        model
        for label, table in tables["model"].items()
        if (model := _model(label, table, problems)) is not None
    ]
    parts = [
        part
        for spec in _specs(tables, problems)
        if (part := _part(spec, known, problems, folder)) is not None
    ]
    callers = list(tables["caller"])
    for model in models:
        if model.caller is not None and model.caller not in callers:
            problems.append(
                f"no [caller.{model.caller}]{_near(model.caller, callers)} "
                f"@ model.{model.name}.caller"
            )
    if models and not any(model.routable for model in models):
        problems.append("no model is routable, so there is nothing to choose from @ model")
    if not tables["selector"]:
        problems.append('no selector; add: selector = "utility", or start from a recipe: '
                        'router = "knn" @ selector')
    if not tables["caller"]:
        problems.append('no caller; add: caller = "openai" (or "sim" to try without a key) '
                        "@ caller")
    if problems or router is None:
        raise ConfigError(name, problems)
    return Config(
        source=name, folder=folder, router=router, models=tuple(models), parts=tuple(parts),
        tables=tables,
    )


def _specs(tables: Tables, problems: list[str]) -> Iterable[Spec]:
    for kind in SINGLE:
        if tables[kind]:
            yield from _spec(kind, kind, tables[kind], problems)
    for kind in NAMED:
        for name, table in tables[kind].items():
            yield from _spec(kind, name, table, problems)
    seen: set[str] = set()
    for table in tables["extension"]:
        name = str(table.get("use", "?"))
        if name in seen:
            problems.append(f"'{name}' is listed twice @ extension.{name}")
        seen.add(name)
        yield from _spec("extension", name, table, problems)


def _spec(
    kind: str, name: str, table: Mapping[str, Any], problems: list[str]
) -> Iterable[Spec]:
    place = kind if kind in SINGLE else f"{kind}.{name}"
    use = table.get("use")
    if isinstance(use, str) and use.strip():
        yield Spec(kind, name, use, {k: v for k, v in table.items() if k != "use"})
    elif use is None:
        problems.append(f"which plugin? add: use = \"…\" @ {place}")
    else:
        problems.append(f"expected the name of a plugin, got {_show(use)} @ {place}.use")


def _model(name: str, table: Mapping[str, Any], problems: list[str]) -> Model | None:
    if "name" in table:
        problems.append(f"unknown option 'name'; the table's own name is it @ model.{name}")
        return None
    return _structure({**table, "name": name}, Model, f"model.{name}", problems)


def _part(
    spec: Spec, entries: Iterable[Entry], problems: list[str], folder: Path
) -> Part | None:
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
    names = {f.alias for f in attrs.fields(plugin_class) if f.init}
    if "name" in names:
        options["name"] = spec.name
    plugin = _structure(options, plugin_class, spec.place, problems, folder=folder)
    return plugin and Part(spec.kind, spec.name, f"{spec.kind} '{spec.name}' "
                           f"({entry.distribution} {entry.version})", plugin, entry)


# ---------------------------------------------------------------------------- structuring


def _structure(
    table: Mapping[str, Any], cls: type, place: str, problems: list[str],
    folder: Path | None = None,
) -> Any:
    """Return *table* as a *cls*; on failure append sentences to *problems*, return None."""
    try:
        return (_converter() if folder is None else _rooted(folder)).structure(table, cls)
    except Exception as error:  # noqa: BLE001 - whatever a plugin's own validator raises
        problems.extend(_sentences(error, place, cls))
        return None


def _rooted(folder: Path) -> Converter:
    """Return a converter whose paths are relative to *folder*."""
    converter = _converter().copy()
    converter.register_structure_hook(
        Path, lambda value, _: folder / Path(_exactly(value, str)).expanduser()
    )
    return converter


@cache
def _converter() -> Converter:
    """Return the strict converter: exact types, no extra keys, secrets never literal."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for primitive in (str, bool, int):
        converter.register_structure_hook(primitive, _exactly)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook(Path, lambda value, _: Path(_exactly(value, str)))
    converter.register_structure_hook_func(
        lambda cls: get_origin(cls) is tuple and len(get_args(cls)) == 2
        and get_args(cls)[1] is Ellipsis,
        lambda value, cls: tuple(
            converter.structure(item, get_args(cls)[0]) for item in _items(value)
        ),
    )
    converter.register_structure_hook_func(
        lambda cls: get_origin(cls) in (Mapping, dict) or getattr(cls, "__origin__", None)
        is Mapping,
        lambda value, cls: {
            _exactly(key, str): converter.structure(item, get_args(cls)[1])
            for key, item in _table(value).items()
        },
    )
    converter.register_structure_hook_func(_is_optional, lambda value, cls: _optional(
        value, cls, converter.structure))
    return converter


def _is_optional(cls: Any) -> bool:
    import types

    return get_origin(cls) in (Union, types.UnionType) and type(None) in get_args(cls)


def _optional(value: Any, cls: Any, structure: Callable[[Any, Any], Any]) -> Any:
    if value is None:
        return None
    kinds = [kind for kind in get_args(cls) if kind is not type(None)]
    for kind in kinds[:-1]:
        try:
            return structure(value, kind)
        except (TypeError, ValueError):
            continue
    return structure(value, kinds[-1])


def _exactly(value: Any, cls: type) -> Any:
    if type(value) is not cls:
        raise TypeError(f"expected {cls.__name__}, got {_show(value)}")
    return value


def _number(value: Any, _: type) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected float, got {_show(value)}")
    if not math.isfinite(value):
        raise TypeError(f"expected a finite number, got {value}")
    return float(value)


def _items(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, got {_show(value)}")
    return value


def _table(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table, got {_show(value)}")
    return value


def _secret(value: Any, _: type) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping) and set(value) == {"env"} and isinstance(value["env"], str):
        return Secret(env=value["env"])
    raise TypeError('a secret is written { env = "VARIABLE" }, never as a literal')


def _sentences(error: BaseException, place: str, cls: type | None) -> Iterable[str]:
    """Yield each failure inside a cattrs error group as a sentence with its place."""
    if isinstance(error, ForbiddenExtraKeysError):
        owner = error.cl
        options = [f.alias for f in attrs.fields(owner) if f.init and f.alias != "name"]
        for key in sorted(error.extra_fields):
            yield f"unknown option '{key}'{_near(key, options)} @ {place}"
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            notes = getattr(inner, "__notes__", ())
            names = [getattr(note, "name", None) or getattr(note, "index", None) for note in notes]
            step = next((f".{name}" for name in names if name is not None), "")
            yield from _sentences(inner, place + step, cls)
    elif isinstance(error, KeyError):
        yield f"required option '{error.args[0]}' is missing @ {place}"
    elif isinstance(error, LLMRouterError):
        yield f"{error} @ {place}"
    elif isinstance(error, AttributeError):
        yield f"expected a table @ {place}"
    else:
        reason = str(error.args[0]) if error.args else type(error).__name__
        yield f"{reason} @ {place}"


def _near(word: str, words: Iterable[str]) -> str:
    """Return `, did you mean '…'?` or, where nothing is near, what there is."""
    options = sorted(set(words))
    near = get_close_matches(word, options, n=1)
    if near:
        return f", did you mean '{near[0]}'?"
    return f"; there are: {', '.join(options)}" if options else ""


def _show(value: Any) -> str:
    """Return *value* as a message may show it: by type, with small harmless values."""
    if isinstance(value, bool | int | float):
        return f"{value!r}"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 40 and value.isprintable() else "a long text"
    if isinstance(value, Mapping):
        return "a table"
    return f"a {type(value).__name__}"
