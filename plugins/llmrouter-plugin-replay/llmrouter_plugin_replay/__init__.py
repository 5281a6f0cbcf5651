"""Answer from recorded outcomes: the same answers each time, without any network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from threading import Lock

from attrs import define, field
from llmrouter_core import Call, Chunk, Model, NoRecording, Request, hookimpl

from llmrouter_plugin_replay.recordings import Recording, recorded

_SHOWN = 60  # characters of a query that an error quotes


@define(eq=False, kw_only=True)
class ReplayCaller:
    """Serve the models of an outcome file with the answers they gave then.

    Attributes:
        name: The caller's name in the config.
        path: The outcome file (JSONL, CSV or Parquet), relative to the config.
    """

    name: str = "default"
    path: Path = field(converter=Path)
    _recorded: Mapping[str, Mapping[str, Recording]] | None = field(
        init=False, default=None, repr=False
    )
    _lock: Lock = field(init=False, factory=Lock, repr=False)

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the function that replays *model*, or None for a model of another caller.

        Raises:
            DatasetError: The file cannot be read, or a line is wrong.
        """
        if model.caller not in (None, self.name):
            return None
        known = self._read().get(model.name)
        return None if known is None else self._replay(model.name, known)

    def pool(self) -> tuple[Model, ...]:
        """Return the recorded models; the file knows their names and nothing else.

        Raises:
            DatasetError: The file cannot be read, or a line is wrong.
        """
        return tuple(Model(name=name, caller=self.name) for name in self._read())

    def _read(self) -> Mapping[str, Mapping[str, Recording]]:
        """Return what the file holds; it is read once, when it is first needed."""
        with self._lock:
            if self._recorded is None:
                self._recorded = recorded(self.path)
            return self._recorded

    def _replay(self, model: str, known: Mapping[str, Recording]) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            recording = known.get(request.text)
            if recording is None or recording.text is None:
                missing = "was not recorded" if recording is None else "has no recorded text"
                raise NoRecording(
                    f"the answer of model '{model}' to {request.text[:_SHOWN]!r} {missing} "
                    f"in {self.path}; record it, or ask another caller",
                    model=model,
                )
            if recording.text:
                yield Chunk(text=recording.text)
            yield Chunk(finish="stop", usage=recording.usage)

        return call
