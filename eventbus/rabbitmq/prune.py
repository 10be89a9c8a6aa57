"""Unbinds the patterns that subscriptions do not have any more; what is in their queues stays."""

from __future__ import annotations

from eventbus.errors import ConfigurationError
from eventbus.rabbitmq.ask import ask
from eventbus.rabbitmq.diff import read_bindings
from eventbus.rabbitmq.management import Management, ManagementUnavailable
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Binding, Names, Plan
from eventbus.transport import Topology


async def prune(
    link: Link, management: Management, names: Names, topology: Topology, plan: Plan, *, within: float
) -> None:
    """Of the queues of `topology` alone, whose `plan` this is. `within` bounds each answer, in seconds.

    Raises `ConfigurationError` without the management API: AMQP cannot be asked what is bound.
    """
    try:
        found = set(read_bindings(await management.bindings()))
    except ManagementUnavailable as error:
        raise ConfigurationError(
            f"what is bound is told by RabbitMQ's management API alone: {error}. Set EVENTBUS_MANAGEMENT_URL."
        ) from error
    queues = {queue.name for queue in topology.queues}
    wire = await link.channel(within=within)
    try:
        for binding in found.difference(plan.bindings):
            if binding.destination in queues and _is_of_a_pattern(names, binding):
                unbinding = wire.channel.queue_unbind(
                    binding.destination, binding.source, binding.routing_key
                )
                await ask(unbinding, within=within)
    finally:
        await wire.close()


def _is_of_a_pattern(names: Names, binding: Binding) -> bool:
    """It has two: for what is published now, and for what is published with a delay."""
    if binding.source == names.events:
        return True
    kind, _ = names.undelayed(binding.source, binding.routing_key) or ("", "")
    return kind == "event"
