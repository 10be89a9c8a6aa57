"""The PostgreSQL that tests are given."""

import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.support.eventually import eventually_sync
from tests.support.postgres_server import PostgresServer, create_database, drop_database
from tests.support.processes import alive, children, stopped

OWNER = """
import sys, time
from tests.support.lifeline import Lifeline
from tests.support.postgres_server import PostgresServer
lifeline = Lifeline()
server = PostgresServer(lifeline.directory, fsync=False)
server.start()
server.pause()
print(lifeline.directory, server.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_every_test_finds_its_database_empty(postgres_url: str, turn: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute(f"CREATE TABLE {turn} (id int)")
    finally:
        await connection.close()


async def test_a_database_is_dropped_in_spite_of_a_connection_left_open(postgres_server: str) -> None:
    database = create_database(postgres_server)
    connection = await asyncpg.connect(database)
    drop_database(postgres_server, database)
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()


async def test_a_private_postgres_can_be_killed_and_keeps_what_it_committed(postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    backends = children(postgres.pid)

    postgres.kill()

    assert not any(map(alive, backends))
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.execute("INSERT INTO kept VALUES (2)")
    postgres.start()
    connection = await asyncpg.connect(postgres.url)
    assert [row["id"] for row in await connection.fetch("SELECT id FROM kept")] == [1]
    await connection.close()


async def test_a_paused_postgres_is_silent_on_open_connections_and_goes_on_when_resumed(
    postgres: PostgresServer,
) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.pause()
    with pytest.raises(TimeoutError):
        await asyncpg.connect(postgres.url, timeout=0.3)
    idle = children(postgres.pid)
    assert idle
    assert all(map(stopped, idle))

    postgres.resume()

    assert await connection.fetchval("SELECT 1", timeout=10) == 1
    await connection.close()


async def test_a_postgres_stopped_in_good_order_does_not_wait_for_its_clients(
    postgres: PostgresServer,
) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.restart()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")


def test_a_private_postgres_leaves_no_process_no_memory_and_no_file_when_removed(
    postgres: PostgresServer,
) -> None:
    family = [postgres.pid, *children(postgres.pid)]
    assert shared_memory_of(postgres.pid)
    postgres.remove()
    assert not any(map(alive, family))
    assert not shared_memory_of(postgres.pid)
    assert not postgres.home.exists()


def test_a_killed_run_takes_even_a_paused_postgres_along() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory, pid = owner.stdout.readline().split()
        family = [int(pid), *children(int(pid))]
        assert len(family) > 1
        assert shared_memory_of(int(pid))
        owner.send_signal(signal.SIGKILL)
        eventually_sync(lambda: not any(map(alive, family)))
        eventually_sync(lambda: not Path(directory).exists())
        assert not shared_memory_of(int(pid))


def shared_memory_of(creator: int) -> list[str]:
    """The segments that a process has had made; proc(5): the fifth column is who did."""
    _, *segments = Path("/proc/sysvipc/shm").read_text().splitlines()
    return [segment for segment in segments if segment.split()[4] == str(creator)]
