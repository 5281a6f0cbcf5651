"""Types for options that hold another part: an ensemble's members, a stack's scorers.

In Python such an option takes the part itself; in a config it takes what a part's own table
takes, `{ use = "knn", k = 50 }`, or the plugin's name alone, `"knn"`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from attrs import frozen


@frozen
class Nested:
    """Marks an option that holds a part of *kind*."""

    kind: str


Caller: TypeAlias = Annotated[Any, Nested("caller")]
Embedder: TypeAlias = Annotated[Any, Nested("embedder")]
Scorer: TypeAlias = Annotated[Any, Nested("scorer")]
Selector: TypeAlias = Annotated[Any, Nested("selector")]
