"""Raw tables into attrs classes: exact types, no unknown keys, and every mistake a sentence."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from inspect import isclass
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
import cattrs
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from llmrouter_core.catalogue import VERBS, Entry, find
from llmrouter_core.errors import ConfigError, LLMRouterError
from llmrouter_core.nesting import Nested
from llmrouter_core.secret import Secret

if TYPE_CHECKING:
    from cattrs import Converter

_LISTS: Mapping[Any, type] = {
    list: list,
    tuple: tuple,
    Sequence: tuple,
    set: set,
    frozenset: frozenset,
    Set: frozenset,
}
_TABLES = (dict, Mapping)


def structure(
    table: Mapping[str, Any],
    cls: type,
    place: str,
    problems: list[str],
    folder: Path,
    entries: tuple[Entry, ...] = (),
) -> Any:
    """Return *table* as a *cls*; on failure append sentences to *problems* and return None.

    Args:
        table: Values of the fields of *cls*, as TOML gives them.
        cls: An attrs class.
        place: Where *table* stands in the config.
        problems: Where to put what is wrong.
        folder: What relative paths are relative to.
        entries: What is installed, for options that hold another part.
    """
    try:
        fill = _converter(folder, entries).get_structure_hook(cls)
    except Exception as error:  # noqa: BLE001 - reading annotations may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        problems.append(
            f"the options of {cls.__name__} cannot be read ({reason}); "
            f"report it to the plugin's author @ {place}"
        )
        return None
    try:
        return fill(table, cls)
    except Exception as error:  # noqa: BLE001 - whatever a plugin's own validator raises
        problems.extend(_sentences(error, place))
        return None


def near(word: str, words: Iterable[str]) -> str:
    """Return `, did you mean '…'?` or, where nothing is near, what there is."""
    options = sorted(set(words))
    found = get_close_matches(word, options, n=1)
    if found:
        return f", did you mean '{found[0]}'?"
    return f"; there are: {', '.join(options)}" if options else ""


def show(value: Any) -> str:
    """Return *value* as a message may show it: by type, with small harmless values."""
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 64):
        return repr(value)
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 40 and value.isprintable() else "a long text"
    if isinstance(value, Mapping):
        return "a table"
    return "nothing" if value is None else f"a {type(value).__name__}"


# ---------------------------------------------------------------------------- converting


class _At(Exception):
    """What went wrong at one item of a list, or at one key of a table of free keys."""

    def __init__(self, step: object, error: Exception) -> None:
        super().__init__(step)
        self.step = step
        self.error = error


@lru_cache(maxsize=8)
def _converter(folder: Path, entries: tuple[Entry, ...]) -> Converter:
    """Return the strict converter whose relative paths start in *folder*.

    Parts that options hold are found among *entries*.
    """
    converter = cattrs.Converter()
    for primitive in (str, bool, int):
        converter.register_structure_hook(primitive, _exactly)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook(
        Path, lambda value, _: folder / Path(_exactly(value, str)).expanduser()
    )

    def each(items: Iterable[tuple[object, Any, Any]]) -> list[Any]:
        done, errors = [], []
        for step, value, kind in items:
            try:
                done.append(converter.structure(value, kind))
            except Exception as error:  # noqa: BLE001 - raised below, with its place
                errors.append(_At(step, error))
        if errors:
            raise ExceptionGroup("items", errors)
        return done

    def several(value: Any, cls: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise TypeError(f"expected a list, got {show(value)}")
        kinds, wanted = get_args(cls), _LISTS[_origin(cls)]
        if get_origin(cls) is tuple and kinds[-1] is not Ellipsis:
            if len(value) != len(kinds):
                raise TypeError(f"expected a list of {len(kinds)}, got {len(value)}")
        else:
            kinds = (kinds[0] if kinds else Any,) * len(value)
        steps = range(1, len(value) + 1)
        return wanted(each(zip(steps, value, kinds, strict=True)))

    def table(value: Any, cls: Any) -> dict[str, Any]:
        key, kind = get_args(cls) or (str, Any)
        keys = each((name, name, key) for name in _table(value))
        return dict(zip(keys, each((k, v, kind) for k, v in value.items()), strict=True))

    def either(value: Any, cls: Any) -> Any:
        kinds = [kind for kind in get_args(cls) if kind is not NoneType]
        if value is None and len(kinds) < len(get_args(cls)):
            return None
        errors = []
        for kind in kinds:
            try:
                return converter.structure(value, kind)
            except Exception as error:  # noqa: BLE001 - raised below if no other kind fits
                errors.append(error)
        inside = [error for error in errors if isinstance(error, ExceptionGroup)]
        if len(kinds) == 1 or len(inside) == 1:  # the one whose shape fitted explains best
            raise (inside or errors)[0]
        raise TypeError(f"expected {' or '.join(map(_kind, kinds))}, got {show(value)}")

    def strict(cls: Any) -> Any:
        _resolve(cls)
        fill = make_dict_structure_fn(
            cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_use_alias=True
        )
        return lambda value, kind: value if isinstance(value, cls) else fill(_table(value), kind)

    def part(value: Any, cls: Any) -> Any:
        [kind] = (mark.kind for mark in get_args(cls)[1:] if isinstance(mark, Nested))
        if attrs.has(type(value)) and hasattr(value, VERBS[kind]):
            return value
        options = {"use": value} if isinstance(value, str) else dict(_table(value))
        use = options.pop("use", None)
        if not isinstance(use, str) or not use.strip():
            raise TypeError(f'which {kind}? add: use = "…"')
        if "name" in options:
            raise TypeError("unknown option 'name'; a part inside another has none")
        plugin_class = find(entries, kind, use).load()
        return converter.get_structure_hook(plugin_class)(options, plugin_class)

    shapes: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
        (lambda cls: _origin(cls) in _LISTS, several),
        (lambda cls: _origin(cls) in _TABLES, table),
        (lambda cls: _origin(cls) in (Union, UnionType), either),
        (lambda cls: _origin(cls) is Literal, _literal),
        (lambda cls: isclass(cls) and issubclass(cls, Enum), _member),
        (_nested, part),
    )
    for fits, hook in shapes:
        converter.register_structure_hook_func(fits, hook)
    converter.register_structure_hook_factory(attrs.has, strict)
    return converter


def _resolve(cls: type) -> None:
    """Evaluate the annotations of the options of *cls*, and of nothing else.

    What a part learns may be annotated with what is imported for type checkers only, such as
    torch; attrs and cattrs would evaluate that too.
    """
    written = {f.name: f.type for f in attrs.fields(cls) if f.init and isinstance(f.type, str)}
    known: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):  # an option may be inherited from another module
        known |= vars(sys.modules[owner.__module__])
    hints = get_type_hints(SimpleNamespace(__annotations__=written), known, include_extras=True)
    for item in attrs.fields(cls):
        if isinstance(item.type, str):  # as attrs.resolve_types does it
            object.__setattr__(item, "type", hints.get(item.name, Any))


def _nested(cls: Any) -> bool:
    """Return whether *cls* is the type of an option that holds another part."""
    marks = get_args(cls)[1:] if get_origin(cls) is Annotated else ()
    return any(isinstance(mark, Nested) for mark in marks)


def _origin(cls: Any) -> Any:
    return get_origin(cls) or cls


def _kind(cls: Any) -> str:
    return "a table" if attrs.has(cls) else str(getattr(cls, "__name__", cls))


def _exactly(value: Any, cls: type) -> Any:
    if type(value) is not cls:
        raise TypeError(f"expected {cls.__name__}, got {show(value)}")
    return value


def _number(value: Any, _: type) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected float, got {show(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise TypeError(f"expected a finite number, got {number}")
    return number


def _table(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table, got {show(value)}")
    return value


def _literal(value: Any, cls: Any) -> Any:
    return _among(value, {option: option for option in get_args(cls)})


def _member(value: Any, cls: type[Enum]) -> Any:
    return _among(value, {member.value: member for member in cls})


def _among(value: Any, options: Mapping[Any, Any]) -> Any:
    for option, meant in options.items():
        if type(option) is type(value) and option == value:
            return meant
    listed = ", ".join(repr(option) for option in options)
    raise TypeError(f"expected one of {listed}; got {show(value)}")


def _secret(value: Any, _: type) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping) and set(value) == {"env"} and isinstance(value["env"], str):
        return Secret(env=value["env"])
    raise TypeError('a secret is written { env = "VARIABLE" }, never as a literal')


# ---------------------------------------------------------------------------- explaining


def _sentences(error: BaseException, place: str) -> Iterable[str]:
    """Yield each failure inside *error* as a sentence with its place."""
    if isinstance(error, _At):
        yield from _sentences(error.error, f"{place}.{error.step}")
    elif isinstance(error, ForbiddenExtraKeysError):
        options = [f.alias for f in attrs.fields(error.cl) if f.init and f.alias != "name"]
        for key in sorted(map(str, error.extra_fields)):
            yield f"unknown option '{key}'{near(key, options)} @ {place}"
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            step = _field_of(inner)
            if isinstance(inner, KeyError) and inner.args == (step,):
                yield f"required option '{step}' is missing @ {place}"
            else:
                yield from _sentences(inner, place if step is None else f"{place}.{step}")
    elif isinstance(error, ConfigError):
        yield from (f"{problem} @ {place}" for problem in error.problems)
    else:
        reason = str(error.args[0]) if error.args else str(error)
        if not isinstance(error, TypeError | ValueError | ImportError | LLMRouterError):
            reason = f"raised {type(error).__name__}: {reason}; report it to the plugin's author"
        yield f"{' '.join(reason.split()) or type(error).__name__} @ {place}"


def _field_of(error: BaseException) -> str | None:
    """Return the field that cattrs was filling when *error* was raised."""
    notes = getattr(error, "__notes__", ())
    names = (note.name for note in notes if isinstance(note, AttributeValidationNote))
    return next((name.lstrip("_") for name in names), None)
