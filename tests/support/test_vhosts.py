"""The virtual hosts of tests."""

from collections.abc import Callable, Iterator
from functools import partial

import pika
import pytest

from eventbus import Bus, Service, subscribe
from tests.support.broker import Broker
from tests.support.eventually import eventually_sync
from tests.support.vhosts import Vhosts, emptied

LEVELS = {f"events.delay.{level:02d}" for level in range(28)}

Leave = Callable[[Broker, str], object]


@subscribe("order.*")
async def notify(event: dict[str, object]) -> None: ...


@pytest.fixture
async def used(rabbitmq: Broker, vhost: str) -> str:
    """A virtual host in which a bus has declared a topology."""
    url = rabbitmq.amqp_url(vhost)
    async with Bus(url, source="test", store="memory://") as bus, bus.running(Service("email", [notify])):
        await bus.publish("order.created", {"order_id": "o-1"})
    return vhost


@pytest.mark.empty_vhost
@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_is_to_be_empty_is(rabbitmq: Broker, vhost: str, turn: str) -> None:
    assert queues_in(rabbitmq, vhost) == set()
    declare(turn, rabbitmq, vhost)
    assert queues_in(rabbitmq, vhost) == {turn}


def test_of_a_used_one_the_delay_queues_are_left(rabbitmq: Broker, used: str) -> None:
    assert queues_in(rabbitmq, used) > LEVELS

    wait_until_emptied(rabbitmq, used)

    assert queues_in(rabbitmq, used) == {*LEVELS, "events.undelivered.dead"}
    exchanges = {each["name"] for each in rabbitmq.api("GET", f"exchanges/{used}")}
    assert {name for name in exchanges if name and not name.startswith("amq.")} == {
        *LEVELS,
        "events.delay.deliver",
        "events.undelivered",
    }


def wait_until_emptied(broker: Broker, vhost: str) -> None:
    """The broker tells late, and on a busy machine later, how much is in a new queue and who has gone."""
    eventually_sync(lambda: emptied(broker, vhost), within=30)


def declare(queue: str, broker: Broker, vhost: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url(vhost))) as connection:
        connection.channel().queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})


def delay_a_message(broker: Broker, vhost: str) -> None:
    message = {
        "properties": {},
        "routing_key": "events.delay.20",
        "payload": "",
        "payload_encoding": "string",
    }
    broker.api("POST", f"exchanges/{vhost}/amq.default/publish", message)
    eventually_sync(partial(holds_a_message, broker, vhost, "events.delay.20"), within=30)


def holds_a_message(broker: Broker, vhost: str, queue: str) -> bool:
    found: dict[str, object] = broker.api("GET", f"queues/{vhost}/{queue}")
    return found.get("messages") == 1


def set_a_policy(broker: Broker, vhost: str) -> None:
    policy = {"pattern": ".*", "definition": {"max-length": 5}}
    broker.api("PUT", f"policies/{vhost}/short", policy)


def limit_it(broker: Broker, vhost: str) -> None:
    broker.api("PUT", f"vhost-limits/{vhost}/max-queues", {"value": 100})


def allow_nothing(broker: Broker, vhost: str) -> None:
    nothing = {"configure": "", "write": ".*", "read": ".*"}
    broker.api("PUT", f"permissions/{vhost}/{broker.user}", nothing)


def remove_a_level(broker: Broker, vhost: str) -> None:
    broker.api("DELETE", f"queues/{vhost}/events.delay.03")


def bind_a_level_twice(broker: Broker, vhost: str) -> None:
    broker.api("POST", f"bindings/{vhost}/e/events.delay.04/q/events.delay.03", {"routing_key": "x"})


@pytest.mark.parametrize(
    "leave",
    [delay_a_message, set_a_policy, limit_it, allow_nothing, remove_a_level, bind_a_level_twice],
    ids=lambda leave: leave.__name__,
)
def test_what_is_not_as_it_was_declared_is_not_handed_on(rabbitmq: Broker, used: str, leave: Leave) -> None:
    wait_until_emptied(rabbitmq, used)

    leave(rabbitmq, used)

    assert not emptied(rabbitmq, used)


def test_one_that_is_connected_to_is_not_handed_on(rabbitmq: Broker, used: str) -> None:
    wait_until_emptied(rabbitmq, used)

    with pika.BlockingConnection(pika.URLParameters(rabbitmq.amqp_url(used))):
        eventually_sync(lambda: rabbitmq.api("GET", f"vhosts/{used}/connections"))
        assert not emptied(rabbitmq, used)


@pytest.fixture
def own(rabbitmq: Broker) -> Iterator[Vhosts]:
    vhosts = Vhosts(rabbitmq, handed_on=1, rest=0.0)
    yield vhosts
    vhosts.remove_all()


def test_a_clean_one_is_handed_on_once_and_no_more_than_are_to_wait(
    rabbitmq: Broker, used: str, own: Vhosts
) -> None:
    wait_until_emptied(rabbitmq, used)
    own.put(used)
    own.put(unused := own.take())
    own.see_to_rested()

    assert own.take() == used
    another = own.take()
    assert another not in {used, unused}
    names = {each["name"] for each in rabbitmq.api("GET", "vhosts")}
    assert names >= {used, another}
    assert unused not in names
    own.put(another)


def queues_in(broker: Broker, vhost: str) -> set[str]:
    return {queue["name"] for queue in broker.api("GET", f"queues/{vhost}")}
