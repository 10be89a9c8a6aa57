"""Reads a handler's signature once, when its service is assembled, and says what is wrong with it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

from eventbus.annotations import CannotRead, as_written, hints_of, is_async, name_of, parameters_of
from eventbus.context import Context
from eventbus.dependency import Depends, InTransaction, Plan, Recipe
from eventbus.envelope import Envelope
from eventbus.errors import InvalidSubscription
from eventbus.event import Event, parse_version
from eventbus.hints import meaning
from eventbus.store import Transaction
from eventbus.topic import matches

RIGHT_FORM: Final = (
    "Write it as `async def handler(event: OrderCreated, context: Context, "
    "gateway: Annotated[Gateway, Depends(open_gateway)])`; only the event is required, "
    "and it may also be Envelope[OrderCreated], Event, dict or unannotated"
)


@dataclass(frozen=True, slots=True)
class EventParameter:
    """How the handler wants its event."""

    as_dict: bool
    classes: Mapping[str, type[Event]] = field(default_factory=dict[str, type[Event]])
    """By event type; empty with `as_dict`, or when any registered class will do."""
    enveloped: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    event: EventParameter
    plan: Plan
    transaction: InTransaction | Literal["store"] | None = None
    """What it is to run in: a transaction of the store, or of a session of the user's."""


def read_signature(
    subscription: str, function: Callable[..., Any], topics: Sequence[str | type[Event]], *, batched: bool
) -> Signature:
    """The compiled signature; raises `InvalidSubscription` with the right form."""
    try:
        return _Reader(subscription, function, topics, batched=batched).read()
    except NameError as error:  # of a `type` statement, which is evaluated when it is read
        raise InvalidSubscription(subscription, f"an alias cannot be read: {error}", RIGHT_FORM) from None


class _Reader:
    def __init__(
        self,
        subscription: str,
        function: Callable[..., Any],
        topics: Sequence[str | type[Event]],
        *,
        batched: bool,
    ) -> None:
        self._subscription = subscription
        self._function = function
        self._topics = topics
        self._batched = batched
        self._transactions: list[InTransaction | Literal["store"]] = []

    def read(self) -> Signature:
        parameters = self._parameters(self._function)
        if _is_generator(as_written(self._function)):
            raise self._wrong(f"{name_of(self._function)} is a generator, which nobody would run")
        if not parameters or parameters[0].kind not in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            raise self._wrong("its first parameter must take the event")
        hints = self._hints(self._function)
        event = self._event(parameters[0].name, hints.get(parameters[0].name, inspect.Parameter.empty))
        plan = self._plan(parameters[1:], hints, within=())
        transaction = self._transaction()
        if plan.transactions and isinstance(transaction, InTransaction) and not self._is_async():
            raise self._wrong("it is a plain function, in which nobody can await what the session does")
        return Signature(event, plan, transaction)

    # --- the event ------------------------------------------------------------------------------------------

    def _event(self, name: str, hint: object) -> EventParameter:
        hint = _bare(hint)
        if self._batched:
            hint = _bare(self._item(name, hint))
        if _is_envelope(hint):
            given = hint.__pydantic_generic_metadata__["args"]
            inner = _bare(given[0]) if given else dict
            return self._data(name, inner, enveloped=True)
        return self._data(name, hint, enveloped=False)

    def _item(self, name: str, hint: object) -> object:
        """What the list of a batch handler holds."""
        if hint is inspect.Parameter.empty or hint is list:
            return inspect.Parameter.empty
        if get_origin(hint) in (list, Sequence):
            return get_args(hint)[0]
        raise self._wrong(f"with batch=… {name!r} must be a list, such as list[EmailRequested]")

    def _data(self, name: str, hint: object, *, enveloped: bool) -> EventParameter:
        if hint is inspect.Parameter.empty:
            classes = [topic for topic in self._topics if isinstance(topic, type)]
            if classes and len(classes) == len(self._topics):
                return self._of(name, classes, enveloped=enveloped)
            return EventParameter(as_dict=True, enveloped=enveloped)
        if hint is Event:
            return EventParameter(as_dict=False, enveloped=enveloped)
        if hint is Any or hint is dict or hint is Mapping or get_origin(hint) in (dict, Mapping):
            return EventParameter(as_dict=True, enveloped=enveloped)
        members = _one_by_one(hint)
        if members and all(isinstance(member, type) and issubclass(member, Event) for member in members):
            return self._of(name, members, enveloped=enveloped)
        raise self._wrong(f"{name!r} is annotated {_shown(hint)}, which is no event")

    def _of(self, name: str, members: Sequence[Any], *, enveloped: bool) -> EventParameter:
        classes = self._by_type(name, members)
        patterns = [topic if isinstance(topic, str) else topic.__event_type__ for topic in self._topics]
        for event_type in classes:
            if not any(matches(pattern, event_type) for pattern in patterns):
                raise self._wrong(f"{name!r} takes {event_type}, which {', '.join(patterns)} never brings")
        for pattern in patterns:
            if pattern not in classes:
                raise self._wrong(
                    f"{pattern!r} brings more than {', '.join(sorted(classes))}; "
                    f"annotate {name!r} as Event or dict"
                )
        return EventParameter(as_dict=False, classes=classes, enveloped=enveloped)

    def _by_type(self, name: str, members: Sequence[type[Event]]) -> dict[str, type[Event]]:
        """One class for each event type: of two, the events of one would find no reader."""
        classes: dict[str, type[Event]] = {}
        for member in members:
            event_type = member.__event_type__
            if not event_type:
                raise self._wrong(
                    f'{member.__qualname__} has no event type: class X(Event, type="order.created")'
                )
            if classes.setdefault(event_type, member) is not member:
                raise self._wrong(f"{name!r} takes {event_type} as {_chosen(classes[event_type], member)}")
        return classes

    def _is_async(self) -> bool:
        """Also under decorators that are plain functions themselves: what they return is awaited."""
        return is_async(self._function) or is_async(as_written(self._function))

    # --- everything else ------------------------------------------------------------------------------------

    def _transaction(self) -> InTransaction | Literal["store"] | None:
        if len(set(self._transactions)) > 1:
            raise self._wrong("it asks for two transactions, of which one could commit and the other fail")
        return self._transactions[0] if self._transactions else None

    def _plan(
        self,
        parameters: Sequence[inspect.Parameter],
        hints: Mapping[str, Any],
        within: tuple[Callable[..., Any], ...],
    ) -> Plan:
        contexts: list[str] = []
        transactions: list[str] = []
        depends: dict[str, Recipe] = {}
        for parameter in parameters:
            hint = _asked(hints.get(parameter.name, inspect.Parameter.empty))
            if hint is Context or (hint is inspect.Parameter.empty and parameter.name == "context"):
                contexts.append(parameter.name)
            elif hint is Transaction:
                transactions.append(parameter.name)
                self._transactions.append("store")
            elif (session := _marked(hint, InTransaction)) is not None:
                transactions.append(parameter.name)
                self._transactions.append(session)
            elif (found := _marked(hint, Depends)) is not None:
                depends[parameter.name] = self._recipe(found, within)
            elif isinstance(parameter.default, Depends):
                raise self._wrong(
                    f"Depends(…) is the default of {parameter.name!r} instead of its annotation"
                )
            elif parameter.default is inspect.Parameter.empty and parameter.kind not in (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.VAR_KEYWORD,
            ):
                raise self._wrong(f"nothing fills the parameter {parameter.name!r}")
            else:
                continue
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                raise self._wrong(f"the parameter {parameter.name!r} cannot be given by name")
        return Plan(tuple(contexts), tuple(transactions), depends)

    def _recipe(self, depends: Depends, within: tuple[Callable[..., Any], ...]) -> Recipe:
        factory = depends.factory
        if factory in within:
            raise self._wrong(f"{name_of(factory)} depends on itself")
        plan = self._plan(self._parameters(factory), self._hints(factory), (*within, factory))
        if depends.scope == "service" and (
            plan.contexts
            or plan.transactions
            or any(r.depends.scope == "delivery" for r in plan.depends.values())
        ):
            raise self._wrong(
                f"{name_of(factory)} is made once for the service and cannot take what is of one delivery; "
                f'use Depends({name_of(factory)}, scope="delivery")'
            )
        return Recipe(depends, plan)

    def _parameters(self, function: Callable[..., Any]) -> list[inspect.Parameter]:
        try:
            return parameters_of(function)
        except CannotRead as error:
            raise self._wrong(str(error)) from None

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Its annotations; classes named as topics are known even when they are local ones."""
        topics = {topic.__name__: topic for topic in self._topics if isinstance(topic, type)}
        try:
            return hints_of(function, topics)
        except CannotRead as error:
            raise self._wrong(str(error)) from None

    def _wrong(self, problem: str) -> InvalidSubscription:
        return InvalidSubscription(self._subscription, problem, RIGHT_FORM)


def _chosen(*versions: type[Event]) -> str:
    """Which of two classes of one event type to take."""
    older, newest = sorted(versions, key=lambda each: parse_version(each.__event_version__))
    both = " and as ".join(f"{each.__qualname__} ({each.__event_version__})" for each in (older, newest))
    is_step = older.__event_major__ != newest.__event_major__
    reads = ", and write an @upcast for the older one" if is_step else ", which reads both"
    return f"{both}; take {newest.__qualname__} alone{reads}"


def _is_envelope(hint: object) -> TypeGuard[type[Envelope[Any]]]:
    return isinstance(hint, type) and issubclass(hint, Envelope)


Mark = TypeVar("Mark")


def _marked(hint: object, kind: type[Mark]) -> Mark | None:
    """What of this kind stands beside the type in `Annotated[…]`."""
    if get_origin(hint) is not Annotated:
        return None
    return next((extra for extra in get_args(hint)[1:] if isinstance(extra, kind)), None)


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _bare(hint: object) -> object:
    """Without the names and remarks around it."""
    hint = meaning(hint)
    return _bare(get_args(hint)[0]) if get_origin(hint) is Annotated else hint


def _one_by_one(hint: object) -> list[object]:
    """The members of a union, and of those within."""
    hint = _bare(hint)
    if get_origin(hint) not in (Union, types.UnionType):
        return [hint]
    return [each for member in get_args(hint) for each in _one_by_one(member)]


def _asked(hint: object) -> object:
    """What a parameter is to be given, also where None or a remark stands beside it."""
    hint = meaning(hint)
    if get_origin(hint) is Annotated:
        is_marked = any(isinstance(extra, (Depends, InTransaction)) for extra in get_args(hint)[1:])
        return hint if is_marked else _asked(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not types.NoneType]
        return _asked(members[0]) if len(members) == 1 else hint
    return hint


def _shown(hint: object) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
