"""How the first parameter of a handler decides what it is given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Union

import pytest

from eventbus import Context, Depends, Envelope, Event, InTransaction
from eventbus.errors import InvalidSubscription
from eventbus.signature import EventParameter, read_signature

if TYPE_CHECKING:
    pass


class OrderCreated(Event, type="order.created"):
    pass


class OrderCreatedV2(Event, type="order.created", version="2.0"):
    pass


class OrderPaid(Event, type="order.paid"):
    pass


class Nameless(Event):
    pass


OLD_UNION = Union[OrderCreated, OrderPaid]  # noqa: UP007 -- users write it
AS_DICT = EventParameter(as_dict=True)
ANY_CLASS = EventParameter(as_dict=False)


def one(event_class: type[Event], **more: Any) -> EventParameter:
    return EventParameter(as_dict=False, classes={event_class.__event_type__: event_class}, **more)


def read(handler: Callable[..., Any], *topics: Any, batched: bool = False) -> EventParameter:
    return read_signature("shop.handler", handler, topics or (OrderCreated,), batched=batched).event


def refused(handler: Callable[..., Any], *topics: Any, batched: bool = False) -> str:
    with pytest.raises(
        InvalidSubscription, match=r"^subscription 'shop.handler': .* Write it as `async def"
    ) as caught:
        read(handler, *topics, batched=batched)
    return caught.value.problem


def annotated(hint: object) -> Callable[..., Any]:
    """A handler whose event is annotated with this."""

    async def handler(event) -> None:
        pass

    handler.__annotations__["event"] = hint
    return handler


def unannotated(event):
    return event


# --- what may stand there


def test_an_unannotated_handler_of_names_gets_a_dict():
    assert read(unannotated, "order.created", "payment.*") == AS_DICT


def test_an_unannotated_handler_of_classes_gets_those():
    assert read(unannotated, OrderCreated, OrderPaid) == EventParameter(
        as_dict=False, classes={"order.created": OrderCreated, "order.paid": OrderPaid}
    )


def test_an_unannotated_handler_of_classes_and_names_gets_a_dict():
    assert read(unannotated, OrderCreated, "payment.*") == AS_DICT


@pytest.mark.parametrize(
    "hint",
    [dict, dict[str, Any], Mapping, Mapping[str, object], Any, "dict", "dict[str, Any]", "Mapping[str, int]"],
)
def test_a_handler_may_ask_for_a_dict(hint: object):
    assert read(annotated(hint)) == AS_DICT
    assert read(annotated(hint), "order.*") == AS_DICT


@pytest.mark.parametrize("topic", [OrderCreated, "order.created"])
@pytest.mark.parametrize("hint", [OrderCreated, "OrderCreated", Annotated[OrderCreated, "of old"]])
def test_a_handler_may_ask_for_the_class_that_its_topic_brings(hint: object, topic: object):
    assert read(annotated(hint), topic) == one(OrderCreated)


def test_a_handler_may_ask_for_another_version_than_its_topic_names():
    assert read(annotated(OrderCreatedV2), OrderCreated) == one(OrderCreatedV2)


@pytest.mark.parametrize("hint", [OrderCreated | OrderPaid, OLD_UNION, "OrderCreated | OrderPaid"])
@pytest.mark.parametrize("topics", [(OrderCreated, OrderPaid), ("order.paid", "order.created")])
def test_a_handler_may_ask_for_one_of_several_classes(hint: object, topics: tuple[Any, ...]):
    assert read(annotated(hint), *topics).classes == {"order.created": OrderCreated, "order.paid": OrderPaid}


def test_a_handler_of_patterns_may_ask_for_any_event():
    for topics in (("order.*",), (OrderCreated, "payment.*"), (OrderCreated,)):
        assert read(annotated(Event), *topics) == ANY_CLASS


@pytest.mark.parametrize(
    ("hint", "inner"),
    [
        (Envelope[OrderCreated], OrderCreated),
        ("Envelope[OrderCreated]", OrderCreated),
        (Envelope[OrderCreated | OrderPaid], OrderCreated | OrderPaid),
        (Annotated[Envelope[OrderCreated], "of old"], OrderCreated),
        (Envelope[Event], Event),
        (Envelope[dict[str, Any]], dict),
        (Envelope[Any], Any),
        (Envelope, dict),
    ],
)
def test_a_handler_may_ask_for_the_envelope_around_any_of_these(hint: object, inner: object):
    topics = (OrderCreated, OrderPaid) if inner == OrderCreated | OrderPaid else (OrderCreated,)
    enveloped, plain = read(annotated(hint), *topics), read(annotated(inner), *topics)
    assert enveloped.enveloped
    assert (enveloped.as_dict, enveloped.classes) == (plain.as_dict, plain.classes)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (list[OrderCreated], one(OrderCreated)),
        ("list[OrderCreated]", one(OrderCreated)),
        (Sequence[OrderCreated], one(OrderCreated)),
        (Annotated[list[OrderCreated], "of old"], one(OrderCreated)),
        (list[Envelope[OrderCreated]], one(OrderCreated, enveloped=True)),
        (list[dict[str, Any]], AS_DICT),
        (list[Any], AS_DICT),
        (list, one(OrderCreated)),
    ],
)
def test_a_batch_handler_takes_a_list_of_any_of_these(hint: object, expected: EventParameter):
    assert read(annotated(hint), batched=True) == expected


def test_an_unannotated_batch_handler_takes_a_list_of_what_its_topics_say():
    assert read(unannotated, OrderCreated, batched=True) == one(OrderCreated)
    assert read(unannotated, "order.*", batched=True) == AS_DICT


# --- what cannot work


def test_a_handler_without_a_parameter_is_refused():
    def takes_nothing() -> None: ...

    def takes_keywords(*, event: OrderCreated) -> None: ...

    for handler in (takes_nothing, takes_keywords):
        assert "its first parameter must take the event" in refused(handler)


@pytest.mark.parametrize(
    "hint", [int, str, list[OrderCreated], Context, OrderCreated | None, OrderCreated | int]
)
def test_an_annotation_that_is_no_event_is_refused(hint: object):
    assert "'event' is annotated" in refused(annotated(hint))


def test_a_class_that_the_topics_never_bring_is_refused():
    assert "takes order.paid, which order.created never brings" in refused(annotated(OrderPaid))
    assert "takes order.paid, which payment.* never brings" in refused(annotated(OrderPaid), "payment.*")


def test_topics_that_bring_more_than_the_annotation_takes_are_refused():
    assert "'order.*' brings more than order.created" in refused(annotated(OrderCreated), "order.*")
    assert "'order.paid' brings more than order.created" in refused(
        annotated(OrderCreated), OrderCreated, OrderPaid
    )


@pytest.mark.parametrize(
    ("handler", "topics"),
    [
        (annotated(OrderCreatedV2 | OrderCreated), ("order.created",)),
        (annotated(OrderCreated | OrderCreatedV2), (OrderCreated,)),
        (annotated(OrderCreated | OrderPaid | OrderCreatedV2), (OrderCreated, OrderPaid)),
        (annotated(Envelope[OrderCreated | OrderCreatedV2]), (OrderCreated,)),
        (unannotated, (OrderCreated, OrderCreatedV2)),
    ],
)
def test_two_versions_of_one_event_type_are_refused_with_the_one_to_take(
    handler: Callable[..., Any], topics: tuple[Any, ...]
):
    problem = refused(handler, *topics)
    assert "takes order.created as OrderCreated (1.0) and as OrderCreatedV2 (2.0)" in problem
    assert "take OrderCreatedV2 alone, and write an @upcast for the older one" in problem


def test_two_minor_versions_of_one_event_type_need_no_step():
    class Newer(Event, type="order.created", version="1.1"):
        pass

    assert refused(unannotated, Newer, OrderCreated).endswith(
        "Newer (1.1); take test_two_minor_versions_of_one_event_type_need_no_step.<locals>.Newer alone, "
        "which reads both"
    )


def test_a_topic_may_stand_twice_and_a_handler_of_two_versions_take_what_fits_both():
    assert read(unannotated, OrderCreated, OrderCreated) == one(OrderCreated)
    assert read(annotated(OrderCreatedV2), OrderCreated, OrderCreatedV2) == one(OrderCreatedV2)
    assert read(annotated(dict), OrderCreated, OrderCreatedV2) == AS_DICT


def test_a_class_without_an_event_type_is_refused():
    assert "Nameless has no event type" in refused(annotated(Nameless))


@pytest.mark.parametrize("hint", [OrderCreated, dict, Envelope[OrderCreated], tuple[OrderCreated, ...]])
def test_a_batch_handler_that_takes_no_list_is_refused(hint: object):
    assert "with batch=… 'event' must be a list" in refused(annotated(hint), batched=True)


def test_a_generator_cannot_be_a_handler():
    def plain(event: OrderCreated) -> Any:
        yield event

    async def asynchronous(event: OrderCreated) -> Any:
        yield event

    for handler in (plain, asynchronous):
        assert "is a generator" in refused(handler)


def in_session(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__annotations__["session"] = Annotated[Any, InTransaction(object)]
    return function


def test_a_plain_handler_with_a_session_of_its_own_is_refused():
    @in_session
    def plain(event: OrderCreated, session: Any) -> None: ...

    assert "is a plain function" in refused(plain)


def test_under_a_plain_decorator_a_handler_may_have_a_session():
    @in_session
    async def handler(event: OrderCreated, session: Any) -> None: ...

    @functools.wraps(handler)
    def decorated(*args: Any, **keywords: Any) -> Any:
        return handler(*args, **keywords)

    assert read(decorated) == read(handler)


def test_a_plain_handler_may_take_what_a_session_has_found():
    @in_session
    async def customer(session: Any) -> str:
        return "customer"

    def handler(event: OrderCreated, customer: str) -> None: ...

    handler.__annotations__["customer"] = Annotated[str, Depends(customer, scope="delivery")]
    assert read(handler) == one(OrderCreated)


def test_a_function_without_a_signature_is_refused():
    assert "signature" in refused(dict)
