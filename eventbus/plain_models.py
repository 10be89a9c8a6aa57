"""Which models are so plain that what they have read tells how many names the JSON had.

Such a model takes each value from one name, makes nothing up, and reads JSON as it reads a dict of the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from pydantic import BaseModel

Schema = Mapping[str, Any]
"""Of pydantic's core: what kind of value, and what is in it."""

NamesOf = Callable[[BaseModel], int]
"""How many names there were in the JSON of a model, those below it included."""

_SCALARS: Final = frozenset(
    {
        *("bool", "int", "float", "decimal", "str", "enum", "literal", "uuid"),
        *("date", "time", "datetime", "timedelta"),
    }
)
"""Values that hold no names. Not bytes, which JSON may write in several ways, and no union, which may choose
differently for JSON."""
_CHOICES: Final = frozenset(
    {
        *("title", "extra_fields_behavior", "allow_inf_nan", "hide_input_in_errors"),
        *("ser_json_inf_nan", "ser_json_timedelta", "ser_json_temporal", "ser_json_bytes"),
        *("validate_by_name", "validate_by_alias", "serialize_by_alias", "loc_by_alias"),
    }
)
"""Of a model's configuration: no difference to what is read, or the same for JSON and for a dict."""
_DEEPEST: Final = 32
"""Schemas within each other; a model that holds itself has no end."""
_ATOMS: Final = frozenset({str, int, float, bool, type(None)})
"""The most frequent classes of values that have nothing below them."""


def names_of(model: type[BaseModel]) -> NamesOf | None:
    """What tells it of a plain model; None where it is not known to be plain."""
    schema: Any = model.__pydantic_core_schema__
    shared: dict[str, Schema] = {}
    if schema["type"] == "definitions":
        shared = {each["ref"]: each for each in schema["definitions"]}
        schema = schema["schema"]
    seen = Counter[str]()

    def looks_plain(schema: Schema, depth: int = 0, *, is_finite: bool = False) -> bool:
        """`is_finite`: the model around it refuses infinite numbers, as the strict reading of JSON does."""
        if schema["type"] == "definition-ref":
            schema = shared.get(schema["schema_ref"], _UNKNOWN)
        kind = schema["type"]
        seen[kind] += 1
        if schema.get("strict") or depth > _DEEPEST or (kind == "float" and not is_finite):
            return False
        if kind == "model":
            is_finite = schema.get("config", {}).get("allow_inf_nan") is False
        below = _LOOKS.get(kind, _unknown)(schema)
        return below is not None and all(looks_plain(each, depth + 1, is_finite=is_finite) for each in below)

    if not looks_plain(schema):
        return None
    if seen["model"] == 1 and not seen["list"] and not seen["dict"]:
        return _given
    # What is below is counted in the values, as a validator may have made them.
    return None if seen["function-after"] else _names_in


def _given(model: BaseModel) -> int:
    return len(model.__pydantic_fields_set__)


def _names_in(model: BaseModel) -> int:
    given, values = model.__pydantic_fields_set__, model.__dict__
    count = len(given)
    for name in given:
        value = values[name]
        if value.__class__ not in _ATOMS:
            count += _names_below(value)
    return count


def _names_below(value: object) -> int:
    if isinstance(value, BaseModel):
        return _names_in(value)
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return len(named) + sum(map(_names_below, named.values()))
    if isinstance(value, list):
        return sum(map(_names_below, cast("list[object]", value)))
    return 0


# What is below a schema that is plain if those are; None where it is not.


def _unknown(_: Schema) -> None:
    return None


def _scalar(schema: Schema) -> Iterable[Schema] | None:
    return None if schema.get("allow_inf_nan") else ()


def _model(schema: Schema) -> Iterable[Schema] | None:
    inner, config = schema["schema"], schema.get("config", {})
    if (
        inner["type"] != "model-fields"
        or schema["custom_init"]
        or schema["root_model"]
        or "post_init" in schema
        or not _CHOICES.issuperset(config)
        or config.get("extra_fields_behavior", "ignore") != "ignore"
    ):
        return None
    fields = cast("Mapping[str, Schema]", inner["fields"])
    names = [(name, field.get("validation_alias", name)) for name, field in fields.items()]
    if not all(isinstance(alias, str) for _, alias in names):
        return None
    distinct = [{*pair} for pair in names]
    if len(set[str]().union(*distinct)) < sum(map(len, distinct)):
        return None  # two fields may take their value from the same name
    return [field["schema"] for field in fields.values()]


def _list(schema: Schema) -> Iterable[Schema]:
    return [schema.get("items_schema", _UNKNOWN)]


def _dict(schema: Schema) -> Iterable[Schema] | None:
    keys: Schema = schema.get("keys_schema", _UNKNOWN)
    return [schema.get("values_schema", _UNKNOWN)] if keys["type"] == "str" else None


def _optional(schema: Schema) -> Iterable[Schema] | None:
    return [schema["schema"]] if schema.get("on_error", "raise") == "raise" else None


def _checked(schema: Schema) -> Iterable[Schema] | None:
    """By a validator of the model's own: in the JSON of a scalar there were no names."""
    return [schema["schema"]] if schema["schema"]["type"] in _SCALARS else None


_UNKNOWN: Final[Schema] = {"type": "any"}
_LOOKS: Final[Mapping[str, Callable[[Schema], Iterable[Schema] | None]]] = {
    **dict.fromkeys(_SCALARS, _scalar),
    "model": _model,
    "list": _list,
    "dict": _dict,
    "nullable": _optional,
    "default": _optional,
    "function-after": _checked,
}
