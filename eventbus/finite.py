"""NaN and infinity, where pydantic writes `null` for them: in models with a configuration of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel


def first_nulled(data: object) -> str | None:
    """The path of the first NaN or infinity in the data of an event whose JSON may say `null` for it."""
    if isinstance(data, BaseModel) and not _may_null(type(data)):
        return None
    waiting: list[tuple[str, object]] = [("data", data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return path
        waiting.extend((f"{path}{step}", each) for step, each in _below(value))
    return None


@lru_cache(maxsize=1024)
def _may_null(model: type[BaseModel]) -> bool:
    """Whether there are floats, and anything in it is a model that does not say so of them, or may be one."""
    kinds = set[str]()
    waiting: list[object] = [model.__pydantic_core_schema__]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            schema = cast("dict[str, Any]", part)
            kind = str(schema.get("type"))
            if kind == "model" and schema.get("config", {}).get("ser_json_inf_nan") != "constants":
                kind = "model that writes null"
            kinds.add(kind)
            waiting += schema.values()
        elif isinstance(part, (list, tuple)):
            waiting += cast("list[object]", part)
    return "any" in kinds or {"float", "model that writes null"} <= kinds


def _below(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, BaseModel):
        return [(f".{name}", each) for name, each in value]
    if isinstance(value, Mapping):
        return [(f".{name}", each) for name, each in cast("Mapping[object, object]", value).items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{at}]", each) for at, each in enumerate(cast("list[object]", value))]
    return ()
