from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.errors import ConfigurationError, InvalidEvent
from eventbus.rabbitmq import RabbitMQOptions
from eventbus.rabbitmq.topology import LEVELS, MAX_DELAY, Binding, Names, Plan, bits, plan
from eventbus.topic import MAX_TYPE_BYTES, matches
from eventbus.transport import Message, QueueSpec, Topology

NAMES = Names("events")
CHARGE = "payment.charge"


def planned(*queues: QueueSpec, options: RabbitMQOptions | None = None) -> Plan:
    return plan(NAMES, Topology(queues), options or RabbitMQOptions())


def test_an_event_enters_the_events_exchange_under_its_type() -> None:
    route = NAMES.route(Message(b"", "order.created"))

    assert (route.exchange, route.routing_key) == ("events", "order.created")


def test_a_message_for_one_queue_goes_past_all_others() -> None:
    route = NAMES.route(Message(b"", "order.created", queue=CHARGE))

    assert (route.exchange, route.routing_key, route.mandatory) == ("events.redeliver", CHARGE, True)


@pytest.mark.parametrize(
    ("delay", "exchange", "ones"),
    [(1, "00", [0]), (2, "01", [1]), (3, "01", [1, 0]), (5, "02", [2, 0]), (2**27, "27", [27])],
)
def test_a_delay_enters_at_its_highest_bit(delay: int, exchange: str, ones: list[int]) -> None:
    route = NAMES.route(Message(b"", "order.created", delay=delay))

    words = route.routing_key.split(".")
    assert route.exchange == f"events.delay.{exchange}"
    assert [LEVELS - 1 - at for at, word in enumerate(words[:LEVELS]) if word == "1"] == ones
    assert words[LEVELS:] == ["event", "order", "created"]


def test_a_delayed_retry_names_its_queue() -> None:
    route = NAMES.route(Message(b"", "order.created", queue=CHARGE, delay=4))

    assert route.routing_key.endswith(".queue.payment.charge")


@pytest.mark.parametrize(("delay", "seconds"), [(0.01, 1), (1.0, 1), (1.01, 2), (2.5, 3)])
def test_a_delay_is_rounded_up(delay: float, seconds: int) -> None:
    assert NAMES.route(Message(b"", "a", delay=delay)).routing_key == f"{bits(seconds)}event.a"


@pytest.mark.parametrize("delay", [MAX_DELAY + 1, float("inf")])
def test_a_delay_that_the_network_cannot_keep_is_refused(delay: float) -> None:
    with pytest.raises(InvalidEvent, match="delay"):
        NAMES.route(Message(b"", "a", delay=delay))


def test_the_longest_names_fit_a_delayed_routing_key() -> None:
    longest = "a" * MAX_TYPE_BYTES

    for message in (Message(b"", longest, delay=1), Message(b"", "a", queue=longest, delay=1)):
        assert len(NAMES.route(message).routing_key) <= 255


@given(seconds=st.integers(1, MAX_DELAY))
def test_a_message_stays_in_the_network_for_exactly_its_delay(seconds: int) -> None:
    """Followed by hand, as the broker routes it: by the bindings, from exchange to queue to exchange."""
    bindings = planned().bindings
    ttl = {queue.name: queue.arguments.get("x-message-ttl", 0) for queue in planned().queues}
    route = NAMES.route(Message(b"", "order.created", delay=seconds))
    exchange, stayed = route.exchange, 0

    while exchange != NAMES.due:
        (binding,) = [
            b for b in bindings if b.source == exchange and matches(b.routing_key, route.routing_key)
        ]
        exchange = binding.destination
        if binding.to == "queue":
            stayed += int(ttl[exchange])
            exchange = next(
                str(queue.arguments["x-dead-letter-exchange"])
                for queue in planned().queues
                if queue.name == exchange
            )

    assert stayed == 1000 * seconds


def test_a_delayed_event_comes_to_the_patterns_and_a_delayed_retry_to_its_queue_alone() -> None:
    both = planned(QueueSpec(CHARGE, ("order.*",)), QueueSpec("email.notify", ("#",)))
    due = [binding for binding in both.bindings if binding.source == NAMES.due]

    def reached(message: Message) -> set[str]:
        key = NAMES.route(message).routing_key
        return {binding.destination for binding in due if matches(binding.routing_key, key)}

    assert reached(Message(b"", "order.created", delay=1)) == {CHARGE, "email.notify", "events.log"}
    assert reached(Message(b"", "user.created", delay=1)) == {"email.notify", "events.log"}
    assert reached(Message(b"", "order.created", queue=CHARGE, delay=1)) == {CHARGE}


def test_a_queue_loses_nothing_when_the_broker_dead_letters_it() -> None:
    queue = next(queue for queue in planned(QueueSpec(CHARGE, ("a",))).queues if queue.name == CHARGE)

    assert queue.arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "events.dead",
        "x-dead-letter-routing-key": CHARGE,
        "x-dead-letter-strategy": "at-least-once",
    }


def test_dead_letters_are_kept_without_end() -> None:
    dead = next(q for q in planned(QueueSpec(CHARGE, ("a",))).queues if q.name == "payment.charge.dead")

    assert "x-message-ttl" not in dead.arguments
    assert dead.arguments["x-delivery-limit"] == 1_000_000


def test_the_log_keeps_every_event() -> None:
    assert Binding("events", "#", "events.log") in planned().bindings


@pytest.mark.parametrize(
    ("age", "written"),
    [(timedelta(days=7), "7D"), (timedelta(hours=1), "3600s"), (timedelta(seconds=0.5, minutes=1), "61s")],
)
def test_the_age_of_the_log_is_written_as_rabbitmq_reads_it(age: timedelta, written: str) -> None:
    log = next(queue for queue in planned(options=RabbitMQOptions(log_max_age=age)).queues)

    assert log.arguments["x-max-age"] == written


def test_what_a_binding_leads_to_is_declared_before_what_it_comes_from() -> None:
    everything = planned(QueueSpec(CHARGE, ("order.*",)))
    sources = [binding.source for binding in everything.bindings]

    last_into_the_network = max(at for at, source in enumerate(sources) if source.startswith("events.delay"))
    assert all(source == "events" for source in sources[last_into_the_network + 1 :])


def test_namespaces_do_not_meet() -> None:
    topology = Topology((QueueSpec(CHARGE, ("a",)),))
    one, other = (plan(Names(name), topology, RabbitMQOptions()) for name in ("events", "trial"))

    assert not {e.name for e in one.exchanges} & {e.name for e in other.exchanges}


def test_options_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        RabbitMQOptions(confirm_window=0)
    with pytest.raises(ConfigurationError):
        RabbitMQOptions(log_max_age=timedelta(0))
