"""The brokers that tests are given."""

import pytest

from tests.conftest import RUN_DIRECTORY
from tests.support.rabbitmq_node import RabbitNode


def test_a_node_that_ends_by_itself_is_told_at_once_with_its_last_words(pytestconfig: pytest.Config) -> None:
    node = RabbitNode(pytestconfig.stash[RUN_DIRECTORY], config="no.such.setting = 1\n")
    try:
        with pytest.raises(RuntimeError, match="failed_to_prepare_configuration"):
            node.start()
        assert not node.is_running
    finally:
        node.remove()


def test_a_node_that_declares_nothing_any_more_is_started_anew(node: RabbitNode) -> None:
    """As RabbitMQ 3.10's supervisor of dead-lettering leaves it when it has died."""
    node.ctl("eval", "supervisor:terminate_child(rabbit_sup, rabbit_fifo_dlx_sup).")
    vhost = node.broker.create_vhost()
    loses_nothing = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }

    def declare() -> None:
        node.broker.api("PUT", f"queues/{vhost}/one", {"durable": True, "arguments": loses_nothing})

    with pytest.raises(AssertionError, match="rabbit_fifo_dlx_sup"):
        declare()

    node.mend()

    vhost = node.broker.create_vhost()
    declare()
