"""What is in an annotation: the one way through aliases, generics and classes with members.

All who look for something in there go it, so that none misses what another finds.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, NewType, TypeVar, cast, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo


@typing.final
class Unresolved:
    """Stands for a name in an annotation that nobody knows there: of a class within a function, say."""

    def __class_getitem__(cls, _: object) -> type[Unresolved]:
        return cls


def within(hint: object) -> Iterator[object]:
    """The annotation and all those in it, each once: of arguments, aliases, and members at any depth."""
    # By identity, since not all can be hashed. All are held: the next might lie where one that is gone lay.
    seen: dict[int, object] = {}
    waiting = [hint]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or get_origin(each) is ClassVar:
            continue
        seen[id(each)] = each
        yield each
        waiting += _parts(each)


def meaning(hint: Any) -> Any:
    """What it is another name for, with its arguments in place: of a `type` alias, or of a NewType."""
    while True:
        alias = get_origin(hint) or hint
        if isinstance(hint, NewType):
            hint = hint.__supertype__
        elif _is_alias(alias):
            hint = _filled(_value(alias), _arguments(hint, alias.__type_params__))
        else:
            return hint


def members(hint: Any) -> dict[str, object] | None:
    """The annotations of an object's members by the names that they have in JSON; None for anything else."""
    if (fields := _fields(hint)) is not None:
        return {name: _annotation(field) for key, field in fields.items() for name in _names(key, [field])}
    owner = get_origin(hint) or hint
    if not _has_members(owner):
        return None
    given = _arguments(hint, getattr(owner, "__parameters__", ()))
    return {
        name: _filled(each, given)
        for key, each in _hints(owner).items()
        for name in _names(key, _told(owner, key, each))
    }


def first_names(alias: str | AliasPath | AliasChoices | None) -> set[str]:
    """The names that an alias has in the object itself, whatever it takes from within."""
    match alias:
        case str():
            return {alias}
        case AliasPath():
            return {str(alias.path[0])}
        case AliasChoices():
            return set[str]().union(*map(first_names, alias.choices))
        case None:
            return set()


def _parts(hint: Any) -> Iterable[object]:
    """What is right below it; of a generic what it is without arguments, and those: that has an end."""
    if (origin := get_origin(hint)) is not None:
        return get_args(hint)[:1] if origin is Annotated else (origin, *get_args(hint))
    match hint:
        case NewType():
            return (hint.__supertype__,)
        case TypeVar():
            return (hint.__bound__, *hint.__constraints__)
        case _ if _is_alias(hint):
            return (_value(hint),)
        case _:
            inner = members(hint)
            return () if inner is None else (*inner.values(), *getattr(hint, "__orig_bases__", ()))


def _is_alias(hint: object) -> bool:
    """Of a `type` statement, or a `TypeAliasType` of `typing_extensions`."""
    return hasattr(hint, "__value__") and hasattr(hint, "__type_params__") and not isinstance(hint, type)


def _value(alias: Any) -> object:
    """What it stands for; before Python 3.12 one that holds itself has that as a text."""
    names = vars(sys.modules[alias.__module__]) if alias.__module__ in sys.modules else {}
    return _hints(SimpleNamespace(__annotations__={"it": alias.__value__}, __globals__=names))["it"]


def _hints(owner: object) -> dict[str, object]:
    unknown: dict[str, Any] = {}
    while True:
        try:
            return typing.get_type_hints(owner, localns=unknown or None, include_extras=True)
        except NameError as error:
            if error.name is None or error.name in unknown:
                raise
            unknown[error.name] = Unresolved


def _arguments(hint: object, parameters: Iterable[object]) -> Mapping[object, object]:
    return dict(zip(parameters, get_args(hint), strict=False))


def _filled(hint: Any, given: Mapping[object, object]) -> Any:
    """With the arguments in place of the type variables."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    # A class has none in place, but for one of pydantic's, which is the same with its own variables in place.
    is_open = not isinstance(hint, type) or issubclass(hint, BaseModel)
    parameters: tuple[object, ...] = getattr(cast("object", hint), "__parameters__", ()) if is_open else ()
    if given and parameters:
        with suppress(TypeError):  # what is no plain type variable stays as it is
            return cast("Any", hint)[tuple(given.get(each, each) for each in parameters)]
    return cast("object", hint)


def _fields(hint: object) -> Mapping[str, FieldInfo] | None:
    """Of a model or of one of pydantic's data classes."""
    if not isinstance(hint, type):
        return None
    if issubclass(hint, BaseModel):
        return hint.model_fields
    return getattr(cast("object", hint), "__pydantic_fields__", None)


def _has_members(hint: object) -> bool:
    """Whether it is a dataclass, a NamedTuple, or a TypedDict of `typing` or of `typing_extensions`."""
    is_typed_dict = hasattr(hint, "__total__") and hasattr(hint, "__required_keys__")
    is_named_tuple = hasattr(hint, "_fields") and tuple in getattr(hint, "__mro__", ())
    return isinstance(hint, type) and (is_typed_dict or is_named_tuple or dataclasses.is_dataclass(hint))


def _annotation(field: FieldInfo) -> object:
    if not field.metadata:
        return field.annotation
    return cast("Any", Annotated)[(field.annotation, *field.metadata)]


def _told(owner: object, key: str, hint: object) -> Iterable[FieldInfo]:
    """What `Field(…)` says of a member that is not a model's: in its annotation, or as its default."""
    fields: Mapping[str, Any] = getattr(owner, "__dataclass_fields__", {})
    told: list[object] = [getattr(fields.get(key), "default", None)]
    if get_origin(hint) is Annotated:
        told += get_args(hint)[1:]
    return [each for each in told if isinstance(each, FieldInfo)]


def _names(key: str, told: Iterable[FieldInfo]) -> set[str]:
    aliases = [
        alias for field in told for alias in (field.alias, field.validation_alias, field.serialization_alias)
    ]
    return {key}.union(*map(first_names, aliases))
