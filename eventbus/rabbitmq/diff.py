"""Compares the topology that should be with the one that is; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from eventbus.rabbitmq.ask import Refused, ask
from eventbus.rabbitmq.management import Management, ManagementUnavailable
from eventbus.rabbitmq.stats import with_dead_letters
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Binding, Exchange, Names, Plan, Queue, is_of_another_namespace
from eventbus.rabbitmq.wire import Wire
from eventbus.transport import APPLY, UNBIND, Drift, left_over

_RECREATE: Final = f"arguments never change: stop its consumers, empty and delete it, then {APPLY}"
_DECLARE_ANEW: Final = f"delete it, then {APPLY}, for every service: its bindings go with it"
_NOT_THE_HISTORY: Final = (
    "it is the history: deleting it deletes that. Set EVENTBUS_LOG_MAX_AGE_DAYS and EVENTBUS_LOG_MAX_BYTES "
    "as for the others; to change them for all: docs/how-to/keep-history-for-good.md"
)
_ANOTHER_S: Final = (
    "as it seems it is of another namespace: set EVENTBUS_NAMESPACE as for its workers, or give the service "
    "another name"
)
_NOBODY_S: Final = "nobody asks for it", UNBIND
_A_STRANGER_S: Final = (
    "its exchange is none of this namespace, and what it brings is handled as if it were",
    "unbind it with RabbitMQ's own tools, such as the page of the queue in its management",
)
_MAKE_IT_ANSWER: Final = "let the management API answer (EVENTBUS_MANAGEMENT_URL), then compare again"
_ASK_AS_ANOTHER: Final = "compare as a user who may configure them"
_NOT_FOUND: Final = 404
_NOT_PERMITTED: Final = 403


async def diff(link: Link, management: Management, names: Names, plan: Plan, *, within: float) -> list[Drift]:
    """Every difference, by the management API; without it, all but bindings, which AMQP cannot be asked.

    What could not be compared is told as `unknown`.
    """
    try:
        exchanges = await management.exchanges()
        queues = await management.queues()
        bindings = await management.bindings()
    except ManagementUnavailable as error:
        bindings_unknown = Drift("unknown", "bindings", f"AMQP cannot be asked: {error}", _MAKE_IT_ANSWER)
        return [*await _by_amqp(link, names, plan, within), bindings_unknown]
    return [
        *_exchanges(plan, {each["name"]: each for each in exchanges}),
        *_queues(names, plan, {each["name"]: each for each in queues}),
        *_bindings(names, plan, set(read_bindings(bindings))),
    ]


def _exchanges(plan: Plan, found: Mapping[str, Mapping[str, Any]]) -> Iterator[Drift]:
    for exchange in plan.exchanges:
        what = f"exchange {exchange.name}"
        if (there := found.get(exchange.name)) is None:
            yield Drift("missing", what, "no such exchange", APPLY)
        elif there["type"] != exchange.type or not there["durable"]:
            kind = f"{'durable' if there['durable'] else 'transient'} {there['type']}"
            yield Drift("changed", what, f"it is {kind}, not durable {exchange.type}", _DECLARE_ANEW)
        elif differences := list(_differences(exchange.arguments, there["arguments"])):
            yield Drift("changed", what, "; ".join(differences), _DECLARE_ANEW)


def _queues(names: Names, plan: Plan, found: Mapping[str, Mapping[str, Any]]) -> Iterator[Drift]:
    for queue in plan.queues:
        what = f"queue {queue.name}"
        if (there := found.get(queue.name)) is None:
            yield Drift("missing", what, "no such queue", APPLY)
        elif differences := list(_differences(queue.arguments, there["arguments"])):
            problem = "; ".join(differences)
            yield Drift("changed", what, problem, _mended(names, queue, problem))


def _mended(names: Names, queue: Queue, problem: str) -> str:
    """A queue is never to be deleted on the advice of somebody whose settings are wrong."""
    if queue.name == names.log:
        return _NOT_THE_HISTORY
    return _ANOTHER_S if is_of_another_namespace(problem) else _RECREATE


def _differences(wanted: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f"{name} is {found.get(name, 'not set')}, not {wanted.get(name, 'unset')}"


def read_bindings(found: Iterable[Mapping[str, Any]]) -> Iterator[Binding]:
    for each in found:
        yield Binding(each["source"], each["routing_key"], each["destination"], to=each["destination_type"])


def _bindings(names: Names, plan: Plan, found: set[Binding]) -> Iterator[Drift]:
    for binding in plan.bindings:
        if binding not in found:
            yield Drift("missing", _describe(names, binding), "no such binding", APPLY)
    exchanges = {exchange.name for exchange in plan.exchanges}
    queues = {queue.name for queue in plan.queues}
    for binding in sorted(
        found.difference(plan.bindings), key=lambda each: (each.destination, each.source, each.routing_key)
    ):
        # The default exchange has no name, and every queue.
        if binding.source and binding.destination in queues:
            found_there, fix = _NOBODY_S if binding.source in exchanges else _A_STRANGER_S
            yield Drift("unexpected", _describe(names, binding), found_there, fix)
    yield from _left_over_queues(names, queues, found)


def _left_over_queues(names: Names, queues: set[str], found: Iterable[Binding]) -> Iterator[Drift]:
    """Queues of the same services with no subscription to empty them, and dead letters that outlived one."""
    services = {queue.rpartition(".")[0] for queue in queues} - {""}
    there = {each.destination for each in found if each.source in {names.events, names.redeliver}}
    dead = with_dead_letters(names, [(each.destination, each.source, each.routing_key) for each in found])
    for queue in sorted((there | dead) - queues):
        if queue.rpartition(".")[0] in services:
            yield left_over(queue) if queue in there else _only_dead_letters(queue, names.dead_queue(queue))


def _only_dead_letters(queue: str, dead_queue: str) -> Drift:
    fix = f"look at them: eventbus dead list {queue}. When none is wanted any more, delete it"
    return Drift("unexpected", f"queue {dead_queue}", "dead letters of no subscription", fix)


def _describe(names: Names, binding: Binding) -> str:
    """By pattern and queue, as it was asked for; the others by their exchange too."""
    link = f"binding {binding.routing_key} → {binding.destination}"
    return link if binding.source == names.events else f"{link} (of exchange {binding.source})"


async def _by_amqp(link: Link, names: Names, plan: Plan, within: float) -> list[Drift]:
    """What is there is asked for passively first: declaring what is not there would make it."""
    found: list[Drift] = []
    not_compared: list[str] = []
    problem = ""
    wire = await link.channel(within=within)
    try:
        items: list[Exchange | Queue] = [*plan.exchanges, *plan.queues]
        for item in items:
            if not wire.is_open:
                wire = await link.channel(within=within)
            try:
                await _declare(wire, item, within, passive=True)
                await _declare(wire, item, within, passive=False)
            except Refused as refusal:
                wire.end(refusal)
                if refusal.code == _NOT_PERMITTED:
                    not_compared.append(_what(item))
                    problem = refusal.problem
                else:
                    found.append(_refused(names, item, refusal))
    finally:
        await wire.close()
    if not_compared:
        what = f"arguments of {not_compared[0]}"
        if more := not_compared[1:]:
            what = f"{what} and {len(more)} more"
        found.append(Drift("unknown", what, f"all are there; to compare them: {problem}", _ASK_AS_ANOTHER))
    return found


def _refused(names: Names, item: Exchange | Queue, refusal: Refused) -> Drift:
    what = _what(item)
    if refusal.code == _NOT_FOUND:
        return Drift("missing", what, refusal.problem, APPLY)
    fix = _mended(names, item, refusal.problem) if isinstance(item, Queue) else _DECLARE_ANEW
    return Drift("changed", what, refusal.problem, fix)


def _what(item: Exchange | Queue) -> str:
    return f"{'queue' if isinstance(item, Queue) else 'exchange'} {item.name}"


async def _declare(wire: Wire, item: Exchange | Queue, within: float, *, passive: bool) -> None:
    if isinstance(item, Queue):
        arguments: dict[str, Any] = dict(item.arguments)
        asked = wire.channel.queue_declare(item.name, passive=passive, durable=True, arguments=arguments)
        await ask(asked, within=within)
    else:
        declaring = wire.channel.exchange_declare(
            item.name,
            exchange_type=item.type,
            passive=passive,
            durable=True,
            arguments=cast("dict[str, Any]", dict(item.arguments)),
        )
        await ask(declaring, within=within)
