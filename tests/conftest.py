"""What every test can ask for: a real RabbitMQ, PostgreSQL, Redis, with a place in it of its own."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support.broker import Broker
from tests.support.lifeline import Lifeline
from tests.support.postgres_server import PostgresServer, create_database, drop_database
from tests.support.rabbitmq_node import RabbitNode
from tests.support.redis_server import RedisServer, numbered_database, opened_empty
from tests.support.vhosts import Vhosts

LONG_ONES_FIRST = (
    "tests/faults/test_cluster.py",  # both of them come to one worker, which starts one cluster for them
    "tests/e2e/",
    "tests/faults/",
    "tests/typing/",
    "tests/integration/",
)
"""So that no worker is left alone with a long test at the end of a run."""

HANDED_ON = 6
"""Virtual hosts that may wait for a test, in each worker: what is in them keeps the broker a little busy."""

RUN_DIRECTORY = pytest.StashKey[Path]()
SHARED_NODE = pytest.StashKey[RabbitNode]()
SHARED_STORES = pytest.StashKey[list[PostgresServer | RedisServer]]()

# How long an example takes is up to what else the machine does: no time decides a test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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


@pytest.hookimpl(trylast=True)  # among themselves they stay in the random order of pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        long = (n for n, place in enumerate(LONG_ONES_FIRST) if item.nodeid.startswith(place))
        return next(long, len(LONG_ONES_FIRST))

    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_configure_node(node: XdistNode) -> None:
    node.workerinput["run_directory"] = str(node.config.stash[RUN_DIRECTORY])


class XdistNode(Protocol):
    config: pytest.Config
    workerinput: dict[str, str]


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service keeps its store here unless it is told where."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


@pytest.fixture(scope="session")
def vhosts(pytestconfig: pytest.Config, rabbitmq: Broker) -> Iterator[Vhosts]:
    shared = Vhosts(rabbitmq, handed_on=HANDED_ON)
    yield shared
    if not (pytestconfig.stash[RUN_DIRECTORY] / "broker.json").exists():
        shared.remove_all()  # of a broker that outlives this run


@pytest.fixture(scope="session")
def see_to_vhosts(vhosts: Vhosts) -> Iterator[Callable[[], object]]:
    """Begins to. It lasts longer than most of the tests: none waits for it."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield lambda: executor.submit(vhosts.see_to_rested)


@pytest.fixture
def vhost(
    request: pytest.FixtureRequest, vhosts: Vhosts, see_to_vhosts: Callable[[], object]
) -> Iterator[str]:
    """The name of a virtual host for this test alone. It is empty, or holds delay queues as a bus declares
    them; a test that is about what is declared, and not about events, says `empty_vhost`."""
    is_to_be_empty = request.node.get_closest_marker("empty_vhost") is not None
    name = vhosts.create() if is_to_be_empty else vhosts.take()
    yield name
    vhosts.put(name)
    see_to_vhosts()


@pytest.fixture
def amqp_url(rabbitmq: Broker, vhost: str) -> str:
    return rabbitmq.amqp_url(vhost)


@pytest.fixture(scope="session")
def victim(pytestconfig: pytest.Config) -> Iterator[RabbitNode]:
    """To be asked for as `node`: starting one takes longer than most of the tests that want one."""
    node = RabbitNode(pytestconfig.stash[RUN_DIRECTORY])
    yield node
    node.remove()


@pytest.fixture
def node(victim: RabbitNode) -> Iterator[RabbitNode]:
    """A RabbitMQ that this test may kill, freeze, start again: it runs, whatever the test before has done.

    What a test has set on it, such as an alarm's limit, it sets back.
    """
    if victim.is_running:
        victim.mend()
    else:
        victim.start()
    yield victim
    if victim.is_running:
        victim.resume()


@pytest.fixture
def node_url(node: RabbitNode) -> Iterator[str]:
    """An empty virtual host of the node."""
    vhost = node.vhosts.take()
    yield node.amqp_url(vhost)
    node.vhosts.put(vhost)
    if node.is_running:  # now, so that what this does to it is mended before the next test
        node.resume()
        with suppress(OSError, AssertionError):  # it does not answer, which is what the test was about
            node.vhosts.see_to_rested()


class StartNode(Protocol):
    def __call__(self, *, config: str) -> RabbitNode: ...


@pytest.fixture
def private_node(pytestconfig: pytest.Config) -> Iterator[StartNode]:
    """Starts RabbitMQ nodes that are configured otherwise; `config` is for rabbitmq.conf."""
    nodes: list[RabbitNode] = []

    def start(*, config: str) -> RabbitNode:
        node = RabbitNode(pytestconfig.stash[RUN_DIRECTORY], config=config)
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        node.remove()


@pytest.fixture(scope="session")
def shared_store(pytestconfig: pytest.Config) -> StartStore:
    """The URL of a server that all workers share: the first that asks for it starts it."""
    run_directory = pytestconfig.stash[RUN_DIRECTORY]
    servers = pytestconfig.stash[SHARED_STORES] = []

    def start(name: str, make: Callable[[Path], PostgresServer | RedisServer]) -> str:
        address = run_directory / name
        with (run_directory / f"{name}.starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not address.exists():
                server = make(run_directory)
                servers.append(server)  # kept, and ended by the lifeline, as the node above
                server.start()
                address.write_text(server.url)
            return address.read_text()

    return start


class StartStore(Protocol):
    def __call__(self, name: str, make: Callable[[Path], PostgresServer | RedisServer]) -> str: ...


@pytest.fixture(scope="session")
def postgres_server(shared_store: StartStore) -> str:
    """The URL of EVENTBUS_TEST_POSTGRES_URL, else of a PostgreSQL that the first test starts."""
    given = os.environ.get("EVENTBUS_TEST_POSTGRES_URL")
    return given or shared_store("postgres", lambda directory: PostgresServer(directory, fsync=False))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database, for this test alone."""
    database = create_database(postgres_server)
    yield database
    drop_database(postgres_server, database)


@pytest.fixture
def postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A PostgreSQL that this test may kill, freeze, start again."""
    server = PostgresServer(pytestconfig.stash[RUN_DIRECTORY], fsync=False)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def redis_server(shared_store: StartStore) -> str:
    """The URL of EVENTBUS_TEST_REDIS_URL, else of a Redis that the first test starts."""
    return os.environ.get("EVENTBUS_TEST_REDIS_URL") or shared_store("redis", RedisServer)


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """The URL of an empty logical database, for this test alone: each worker has one of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    database = numbered_database(redis_server, worker)
    with opened_empty(database) as client:
        yield database
        client.flushdb()


@pytest.fixture
def redis(pytestconfig: pytest.Config) -> Iterator[RedisServer]:
    """A Redis that this test may kill, freeze, start again; it keeps over a kill what it has answered for."""
    server = RedisServer(pytestconfig.stash[RUN_DIRECTORY], appendonly=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def structlog_as_found() -> Iterator[None]:
    """What one test configures, `capture_logs` included, must not decide where the logs of the next go."""
    found = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if found is not None:
        structlog.configure(**found)
