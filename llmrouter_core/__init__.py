"""LLMRouter: answer each query with the model worth using for it.

The core defines the hooks by which plugins embed, score, select, call and solve, and composes
them. It imports no plugin.
"""

from typing import TYPE_CHECKING, Any

from llmrouter_core.errors import (
    AllModelsFailed,
    AmbiguousPlugin,
    ArtefactDamaged,
    ArtefactError,
    ArtefactMismatch,
    BadRequest,
    BadResponse,
    BadResult,
    BrokenPlugin,
    BudgetExceeded,
    CallError,
    ConfigError,
    DatasetError,
    IncompleteStream,
    LLMRouterError,
    NoEligibleModel,
    NoRecording,
    NotFitted,
    PluginError,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
    UnknownPlugin,
)
from llmrouter_core.hooks import Call, Solve, hookimpl
from llmrouter_core.nesting import Caller, Embedder, Scorer, Selector
from llmrouter_core.router import LLMRouter
from llmrouter_core.scoring import named_score
from llmrouter_core.secret import Secret
from llmrouter_core.session import Session
from llmrouter_core.types import (
    Answer,
    Arrays,
    Chunk,
    Decision,
    Floats,
    Ints,
    Model,
    Payload,
    Price,
    Query,
    Request,
    Scores,
    Step,
    Usage,
)

if TYPE_CHECKING:
    from llmrouter_core.dataset import Dataset, Preference
    from llmrouter_core.evaluation import Report, evaluate
    from llmrouter_core.tasks import Example, Task
    from llmrouter_core.training import Trainable

__version__ = "0.1.0"

__all__ = [
    "AllModelsFailed",
    "AmbiguousPlugin",
    "Answer",
    "Arrays",
    "ArtefactDamaged",
    "ArtefactError",
    "ArtefactMismatch",
    "BadRequest",
    "BadResponse",
    "BadResult",
    "BrokenPlugin",
    "BudgetExceeded",
    "Call",
    "CallError",
    "Caller",
    "Chunk",
    "ConfigError",
    "Dataset",
    "DatasetError",
    "Decision",
    "Embedder",
    "Example",
    "Floats",
    "IncompleteStream",
    "Ints",
    "LLMRouter",
    "LLMRouterError",
    "Model",
    "NoEligibleModel",
    "NoRecording",
    "NotFitted",
    "Payload",
    "PluginError",
    "Preference",
    "Price",
    "Query",
    "RateLimited",
    "Refused",
    "Report",
    "Request",
    "Scorer",
    "Scores",
    "Secret",
    "Selector",
    "Session",
    "Solve",
    "Step",
    "Task",
    "TimedOut",
    "Trainable",
    "Unavailable",
    "UnknownPlugin",
    "Usage",
    "evaluate",
    "hookimpl",
    "named_score",
]

_LATER = {
    "Dataset": "dataset",
    "Example": "tasks",
    "Preference": "dataset",
    "Report": "evaluation",
    "Task": "tasks",
    "Trainable": "training",
    "evaluate": "evaluation",
}
"""Names that are imported when first asked for: deciding and answering need none of them."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
