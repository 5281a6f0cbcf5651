"""A router as it serves: opened, warmed up, exchanged for another without a dropped request."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from llmrouter_core import ConfigError, LLMRouter, LLMRouterError, Model, NotFitted, Query

from llmrouter_plugin_server import names
from llmrouter_plugin_server.composing import breakers_of, composed
from llmrouter_plugin_server.logs import told
from llmrouter_plugin_server.settings import ServerOptions

LOGGER = logging.getLogger("llmrouter.server")

_WARM = "What is the capital of the country whose largest city is number {}?"


class Generation:
    """One router while it serves, with what a gateway adds to it.

    Attributes:
        router: The router.
        added: What was added to it; see `composing`.
        candidates: Its routable models by name, in the order of the pool.
        default: The model that answers when the router itself fails.
        largest: The model that costs most, against which savings are counted; None if unpriced.
    """

    def __init__(self, router: LLMRouter, options: ServerOptions) -> None:
        self.router, self.added = composed(router, options)
        router = self.router
        self._breakers = breakers_of(router)
        self.candidates = {model.name: model for model in router.pipeline.models}
        name = options.default_model or next(iter(self.candidates))
        if name not in self.candidates:
            listed = ", ".join(self.candidates)
            reason = f"there is no routable model '{name:.60}'; there are: {listed}"
            raise ConfigError("server", [f"{reason} @ default_model"])
        self.default: Model = self.candidates[name]
        priced = [model for model in self.candidates.values() if model.price is not None]
        self.largest = max(priced, key=_blended, default=None)
        self.virtual = {names.AUTO: None, names.CHEAP: options.cheap, names.BEST: options.best}
        self._warm_up = options.warm_up
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @property
    def circuits(self) -> Mapping[str, str]:
        """Whether `model.NAME` and `caller.NAME` are `closed`, `open` or `half-open`."""
        return {name: state for one in self._breakers for name, state in one.states.items()}

    async def open(self) -> None:
        """Open the router on the running loop, and decide a few times so that the first is quick.

        Raises:
            NotFitted: It was not trained.
            ConfigError: Its parts do not go together.
        """
        await self.router.__aenter__()
        session = self.router.session()
        try:
            for number in range(self._warm_up):
                await session.decide(Query(text=_WARM.format(number)))
        except (NotFitted, ConfigError):
            await self.router.__aexit__(None, None, None)
            raise
        except LLMRouterError as error:  # it may pass, and until then the default model answers
            why = told(error)
            LOGGER.warning("the router cannot decide yet: %s", why, extra={"error": error})

    async def close(self) -> None:
        """Wait until nobody uses the router any more, and close it."""
        await self._unused.wait()
        await self.router.__aexit__(None, None, None)

    def __enter__(self) -> Generation:
        self._users += 1
        self._unused.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()


def _blended(model: Model) -> float:
    return 0.0 if model.price is None else model.price.blended


class Watch:
    """What a config file and the artefacts it names look like, to notice that they changed."""

    def __init__(self, router: LLMRouter) -> None:
        config = router.config
        self._files = [Path(config.source)]
        if config.router.artefacts is not None:
            self._files.append(config.folder / config.router.artefacts / "manifest.json")
        self._seen = self._look()

    @property
    def source(self) -> Path:
        """The config file."""
        return self._files[0]

    def changed(self) -> bool:
        """Return whether a file is another one than when this was last asked."""
        seen, self._seen = self._seen, self._look()
        return seen != self._seen

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._files]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Generations:
    """The router that serves now, and how another takes its place.

    Args:
        router: The first one.
        options: What the server was told.
        told: Called with `ok` or `failed` after each reload.
    """

    def __init__(
        self, router: LLMRouter, options: ServerOptions, told: Callable[[str], None]
    ) -> None:
        self.now = Generation(router, options)
        self._options = options
        self._told = told
        self._watch = Watch(router)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def reloads(self) -> bool:
        """Whether the router came from a file, so that it can be read again."""
        return self._watch.source.is_file()

    async def watch(self) -> None:
        """Reload whenever the config or its artefacts have changed."""
        while True:
            await asyncio.sleep(self._options.reload)
            if self._watch.changed():
                await self.reload()

    async def reload(self) -> None:
        """Read the config again; where that fails, the old router goes on serving."""
        async with self._lock:
            try:
                router = await asyncio.to_thread(LLMRouter, self._watch.source)
                fresh = Generation(router, self._options)
                await fresh.open()
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises, we serve on
                # Nobody has asked anything of it, so what it says quotes nobody.
                why = str(error) if isinstance(error, LLMRouterError) else told(error)
                kept = "the config was not reloaded, the old one goes on: %s"
                LOGGER.error(kept, why, extra={"error": error})
                self._told("failed")
                return
            old, self.now = self.now, fresh
            self._watch = Watch(router)
            LOGGER.info("the config was reloaded")
            self._told("ok")
        task = asyncio.create_task(old.close())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close the router that serves, and those that still finish their requests."""
        await asyncio.gather(self.now.close(), *self._tasks, return_exceptions=True)
