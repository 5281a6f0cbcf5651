"""{{ cookiecutter.__summary | trim('.') }}."""

from collections.abc import AsyncGenerator

from attrs import define
from llmrouter_core import Call, Chunk, Model, Request, Usage, hookimpl


@define(eq=False, kw_only=True)
class {{ cookiecutter.__class }}:
    """Answer every request with its own text, word by word.

    Attributes:
        name: What models call this caller by.
    """

    name: str = "{{ cookiecutter.name }}"

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the answering function, or None for a model that names another caller."""
        return self._answer if model.caller in (None, self.name) else None

    async def _answer(self, request: Request) -> AsyncGenerator[Chunk, None]:
        words = request.text.split()
        for place, word in enumerate(words):
            yield Chunk(text=f" {word}" if place else word)
        usage = Usage(input_tokens=request.input_tokens, output_tokens=len(words), estimated=True)
        yield Chunk(finish="stop", usage=usage)
