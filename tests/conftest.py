"""What every test can ask for: a real RabbitMQ, with a virtual host of its own."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import pytest
import structlog

from tests.support.broker import Broker
from tests.support.lifeline import Lifeline
from tests.support.rabbitmq_node import RabbitNode

RUN_DIRECTORY = pytest.StashKey[Path]()
SHARED_NODE = pytest.StashKey[RabbitNode]()


def pytest_configure(config: pytest.Config) -> None:
    """One lifeline for the whole run; it is the controller's, because a worker may end before the others."""
    # A run in the background may have been told to ignore interrupts, and so would every program it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given: dict[str, str] | None = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[RUN_DIRECTORY] = Path(given["run_directory"])
        return
    lifeline = Lifeline()
    config.add_cleanup(lifeline.cut)
    config.stash[RUN_DIRECTORY] = lifeline.directory


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_configure_node(node: XdistNode) -> None:
    node.workerinput["run_directory"] = str(node.config.stash[RUN_DIRECTORY])


class XdistNode(Protocol):
    config: pytest.Config
    workerinput: dict[str, str]


@pytest.fixture(scope="session")
def rabbitmq(pytestconfig: pytest.Config) -> Broker:
    """The broker that all tests share: EVENTBUS_TEST_AMQP_URL, else a node that the first of them starts."""
    given = os.environ.get("EVENTBUS_TEST_AMQP_URL")
    if given:
        return Broker.at(given, os.environ.get("EVENTBUS_TEST_MANAGEMENT_URL"))
    run_directory = pytestconfig.stash[RUN_DIRECTORY]
    addresses = run_directory / "broker.json"
    with (run_directory / "starting").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if addresses.exists():
            return Broker(**json.loads(addresses.read_text()))
        # Kept for as long as this process lives, and not ended by it: other workers may still need it.
        node = pytestconfig.stash[SHARED_NODE] = RabbitNode(run_directory)
        node.start()
        addresses.write_text(json.dumps(asdict(node.broker)))
        return node.broker


@pytest.fixture
def vhost(rabbitmq: Broker) -> Iterator[str]:
    """The name of an empty virtual host, for this test alone."""
    name = rabbitmq.create_vhost()
    yield name
    rabbitmq.delete_vhost(name)


@pytest.fixture
def amqp_url(rabbitmq: Broker, vhost: str) -> str:
    return rabbitmq.amqp_url(vhost)


class StartNode(Protocol):
    def __call__(self, *, config: str = "") -> RabbitNode: ...


@pytest.fixture
def private_node(pytestconfig: pytest.Config) -> Iterator[StartNode]:
    """Starts RabbitMQ nodes that this test may kill, freeze, start again; `config` is for rabbitmq.conf."""
    nodes: list[RabbitNode] = []

    def start(*, config: str = "") -> RabbitNode:
        node = RabbitNode(pytestconfig.stash[RUN_DIRECTORY], config=config)
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        node.remove()


@pytest.fixture(autouse=True)
def structlog_as_found() -> Iterator[None]:
    """What one test configures, `capture_logs` included, must not decide where the logs of the next go."""
    found = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if found is not None:
        structlog.configure(**found)
