"""Whom one request may ask: the models of its key, in the region that it or its key demands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen
from llmrouter_core import Model, NoEligibleModel

from llmrouter_plugin_server import names
from llmrouter_plugin_server.faults import refuse

if TYPE_CHECKING:
    from llmrouter_plugin_server.keeping import Holder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a region may be called; letters of another case are another region."""


@frozen
class Permit:
    """Whom one request may ask.

    Attributes:
        models: Names of the models; None for all.
        region: Where the request may be processed; None for anywhere.
    """

    models: tuple[str, ...] | None = None
    region: str | None = None


ANYONE = Permit()


def permit_of(
    own: object,
    head: Mapping[bytes, bytes],
    candidates: Mapping[str, Model],
    holder: Holder | None,
) -> Permit:
    """Return whom a request may ask.

    Args:
        own: What its field `llmrouter.region` says; None where it says nothing.
        head: Its headers.
        candidates: The routable models by name.
        holder: Whose key it has; None where no keys are needed.

    Raises:
        Refusal: The region is no name, or another one than that of the key.
        NoEligibleModel: No model that it may use is in the region.
    """
    header = head.get(names.REGION)
    if header is not None:
        told = header.decode("latin-1")
        if own is not None and own != told:
            message = "the header x-llmrouter-region and 'llmrouter.region' are not the same"
            raise refuse(400, message, "bad_request", param="llmrouter.region")
        own = told
    if own is not None and not (isinstance(own, str) and NAME.fullmatch(own)):
        message = "'region' must be 1 to 64 letters, digits, '.', '_' and '-', such as 'eu'"
        raise refuse(400, message, "bad_request", param="llmrouter.region")
    if holder is None:
        return ANYONE if own is None else Permit(_within(own, candidates, None), own)
    if holder.region is None:
        region = own
    elif own in (None, holder.region):
        region = holder.region
    else:
        raise refuse(
            403,
            f"this key is for region '{holder.region}' only; ask for that one, or for none",
            "region_not_allowed",
            type="permission_error",
            param="llmrouter.region",
        )
    if region is None:
        return ANYONE if holder.models is None else Permit(holder.models)
    return Permit(_within(region, candidates, holder.models), region)


def check_pinned(model: Model, permit: Permit, holder: Holder | None) -> None:
    """Refuse a model that was asked for by name and may not be asked.

    Raises:
        Refusal: It is not for this key, or not in the region.
    """
    if permit.models is None or model.name in permit.models:
        return
    if holder is not None and not holder.allows(model.name):
        message = f"this key may not use model '{model.name}'"
        raise refuse(403, message, "model_not_allowed", type="permission_error", param="model")
    message = (
        f"model '{model.name}' is not in region '{permit.region}'; ask for 'auto', or for one"
    )
    if holder is not None and holder.region is not None:
        message = f"{message}, as this key demands"
        raise refuse(403, message, "model_not_in_region", type="permission_error", param="model")
    raise refuse(400, message, "model_not_in_region", param="model")


def _within(
    region: str, candidates: Mapping[str, Model], allowed: tuple[str, ...] | None
) -> tuple[str, ...]:
    found = tuple(
        name
        for name, model in candidates.items()
        if region in model.regions and (allowed is None or name in allowed)
    )
    if not found:
        which = "no model" if allowed is None else "none of the models that this key may use"
        raise NoEligibleModel(
            f"{which} is in region '{region}'; a model is where its tags 'region:…' say"
        )
    return found
