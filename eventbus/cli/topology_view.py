"""The map of a topology, as a tree for people and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventbus.cli.topology_map import EventOnMap, QueueOnMap, TopologyMap
from eventbus.retry import RetryPolicy
from eventbus.topic import matches

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

OUTSIDE: Final = "published outside these services"
_WAITS_SHOWN: Final = 4


def as_tree(drawn: TopologyMap) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text.assemble((drawn.exchange, "bold"), (" topic exchange", "dim")))
    explained: set[str] = set()
    for event in drawn.events:
        branch = root.add(_event_line(event))
        for queue in event.queues:
            lines = [_queue_line(queue, event.topic)]
            lines += [] if queue.name in explained else _explanation(queue)
            explained.add(queue.name)
            branch.add(Text("\n").join(lines))
        if not event.queues:
            branch.add(Text("nobody here subscribes to it", style="dim"))
    return root


def _event_line(event: EventOnMap) -> Text:
    from rich.text import Text

    publishers = ", ".join(event.published_by) or OUTSIDE
    version = f" {event.version}" if event.version else ""
    return Text.assemble(
        (publishers, "green" if event.published_by else "dim"),
        " → ",
        (event.topic, "bold cyan"),
        (version, "dim"),
    )


def _queue_line(queue: QueueOnMap, topic: str) -> Text:
    from rich.text import Text

    by = [] if topic in queue.patterns else [pattern for pattern in queue.patterns if matches(pattern, topic)]
    via = f" (by {', '.join(by)})" if by else ""
    return Text.assemble((queue.name, "bold"), (via, "dim"), f" → {queue.handler}")


def _explanation(queue: QueueOnMap) -> list[Text]:
    """How it is run, and what it publishes in turn; once for each queue."""
    from rich.text import Text

    subscription = queue.member.subscription
    batch = f" · batches of {subscription.batch.size}" if subscription.batch else ""
    how = (
        f"{_retry_in_words(subscription.retry)} · timeout {subscription.timeout:g} s"
        f" · {subscription.concurrency} at a time{batch}"
    )
    published = f"publishes {', '.join(queue.publishes)}"
    return [Text(how, style="dim"), *([Text(published, style="green")] if queue.publishes else [])]


def _retry_in_words(policy: RetryPolicy) -> str:
    if policy.max_attempts == 1:
        return "1 attempt"
    waits = [f"{policy.wait_after(n):g}" for n in range(1, min(policy.max_attempts, _WAITS_SHOWN + 1))]
    more = " …" if policy.max_attempts > _WAITS_SHOWN + 1 else ""
    return f"{policy.max_attempts} attempts, after {', '.join(waits)}{more} s"


def as_json(drawn: TopologyMap) -> dict[str, object]:
    queues = {queue.name: queue for event in drawn.events for queue in event.queues}
    return {
        "exchange": drawn.exchange,
        "events": [
            {
                "topic": event.topic,
                "version": event.version,
                "published_by": list(event.published_by),
                "queues": [queue.name for queue in event.queues],
            }
            for event in drawn.events
        ],
        "queues": [_queue_as_json(queue) for queue in queues.values()],
    }


def _queue_as_json(queue: QueueOnMap) -> dict[str, object]:
    subscription = queue.member.subscription
    retry = subscription.retry
    return {
        "queue": queue.name,
        "service": queue.member.service,
        "handler": queue.handler,
        "patterns": list(queue.patterns),
        "publishes": list(queue.publishes),
        "retry": {
            "max_attempts": retry.max_attempts,
            "first": retry.first,
            "backoff": retry.backoff,
            "maximum": retry.maximum,
        },
        "timeout": subscription.timeout,
        "concurrency": subscription.concurrency,
        "prefetch": subscription.prefetch,
        "batch": None if subscription.batch is None else subscription.batch.size,
    }
