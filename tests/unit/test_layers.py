"""The core is layered: a module imports only what stands below it, and never a plugin."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import llmrouter_core

ROOT = Path(llmrouter_core.__file__).parent
LAYERS = [
    {"errors"},
    {"secret"},
    {"types"},
    {"hooks", "scoring", "tasks"},
    {"tables", "catalogue", "nesting"},
    {"structuring", "recipes", "guarding", "pacing"},
    {"outcomes", "splitting"},
    {"dataset"},
    {"training"},
    {"learning"},
    {"config"},
    {"pipeline"},
    {"artefacts"},
    {"session"},
    {"solving"},
    {"home"},
    {"router"},
    {"evaluation"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {module: height for height, layer in enumerate(LAYERS) for module in layer}
BANNED = {
    "torch",
    "sklearn",
    "scipy",
    "pandas",
    "aiohttp",
    "httpx",
    "msgspec",
    "requests",
    "transformers",
}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each module *path* imports, and whether it does so only for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.unparse(guard.test)
        for node in ast.walk(guard)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in guarded) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name, id(node) in guarded) for name in names)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_below_it(path: Path) -> None:
    """Testing may import anything; nothing imports testing; core imports no plugin."""
    mine = room(path)
    for name, guarded in imports(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        assert not top.startswith("llmrouter_plugin"), f"{mine} imports {name}"
        assert top not in BANNED, f"{mine} imports {name}"
        assert top not in {"click", "rich"} or mine in {"cli", "testing", "__main__"}
        if top != "llmrouter_core" or guarded or mine in {"testing", "__init__", other}:
            continue
        assert other != "testing", f"{mine} imports {name}"
        # The package itself offers `__version__` and its modules by name.
        if other in HEIGHT:
            assert HEIGHT[other] < HEIGHT[mine], f"{mine} imports {name}, which stands above it"


def test_every_module_has_a_layer() -> None:
    """A new room must say where it stands."""
    rooms = {room(path) for path in MODULES} - {"__init__", "testing"}

    assert rooms == set(HEIGHT)
