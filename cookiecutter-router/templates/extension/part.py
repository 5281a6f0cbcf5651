"""{{ cookiecutter.__summary | trim('.') }}."""

from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing

from attrs import define, field
from llmrouter_core import Call, Chunk, Model, Request, hookimpl


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Count the calls each model gets, and pass everything on.

    Attributes:
        calls: How often each model was asked, by name.
    """

    calls: Counter[str] = field(init=False, repr=False, factory=Counter)

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Return what the caller returned, counted; None stays None."""
        inner = yield
        return inner and self._counted(model.name, inner)

    def _counted(self, name: str, inner: Call) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            self.calls[name] += 1
            async with aclosing(inner(request)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return call
