"""A PostgreSQL of our own, from the installed programs: own data, port and password, on the loopback only.

It runs beside any other PostgreSQL, as any user; as root it runs as `postgres` or `nobody`, for PostgreSQL
refuses root. All that it is made of lies in one directory, and it ends with the lifeline of that directory.
Ready in about a second.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.support.eventually import eventually_sync
from tests.support.ports import free_ports
from tests.support.server_process import ServerProcess

SUPERUSER = "eventbus"


class PostgresServer:
    """One that a test may kill, freeze and start again, on the same port and with the same data."""

    def __init__(self, lifeline: Path, *, fsync: bool = True) -> None:
        """`lifeline` is the directory of one; the data is made here, and nothing runs yet.

        Without `fsync` it is faster, and still safe when it is killed: only the fall of the whole machine
        loses what was committed.
        """
        self._programs = programs()
        self._process = ServerProcess(lifeline, "postgres", user=_user())
        self._port = free_ports(1)[0]
        self._fsync = "on" if fsync else "off"
        password = f"{random.getrandbits(128):x}"
        self.url = f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self._port}/postgres"
        self._make_data(password)

    def start(self, *, within: float = 60.0) -> None:
        """Returns when it accepts connections."""
        self._process.start(
            self._program("postgres"),
            *("-D", self._data, "-p", str(self._port)),
            *_settings(
                listen_addresses="127.0.0.1",
                unix_socket_directories="",
                fsync=self._fsync,
                max_connections="200",
                shared_buffers="32MB",
                dynamic_shared_memory_type="mmap",  # files beside its data, which go with it
            ),
        )
        eventually_sync(self._answers, within=within, every=0.05)

    def kill(self) -> None:
        """kill -9 of the whole server: nothing is flushed, no connection is closed in good order."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> None:
        """In good order, without waiting for clients; a paused one has to be resumed before."""
        self._process.end(signal.SIGINT)

    def restart(self) -> None:
        """After a kill or a stop, or in good order when it runs."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """A silent peer: connections stay open, and nothing answers."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def remove(self) -> None:
        """For good, with its data; what a test leaves out, the lifeline does at the end of the run."""
        self._process.remove()

    @property
    def is_running(self) -> bool:
        """Paused counts as running."""
        return self._process.is_running

    @property
    def pid(self) -> int:
        """Of the process that was started last, also after its end."""
        return self._process.pid

    @property
    def home(self) -> Path:
        """The directory that all its files lie in."""
        return self._process.home

    @property
    def _data(self) -> str:
        return str(self._process.home / "data")

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _make_data(self, password: str) -> None:
        secret = self._process.home / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        if user := _user():
            shutil.chown(secret, user)
        self._process.prepare(
            self._program("initdb"),
            *("--pgdata", self._data, "--username", SUPERUSER, "--pwfile", str(secret)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        )

    def _answers(self) -> bool:
        self._process.assert_alive()
        command = [self._program("pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self._port}"]
        return subprocess.run(command, check=False, timeout=30).returncode == 0


def create_database(server: str) -> str:
    """The URL of a new database, empty, in the server that the URL leads to."""
    name = f"eventbus_test_{uuid.uuid4().hex[:12]}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE template0")
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def drop_database(server: str, database: str) -> None:
    """With the connections that it still has."""
    execute(server, f"DROP DATABASE IF EXISTS {urlsplit(database).path[1:]} WITH (FORCE)")


def programs() -> Path:
    """The directory of initdb and postgres, which distributions keep out of the PATH."""
    for directory in _places():
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    raise AssertionError(
        "PostgreSQL is not installed: apt-get install postgresql, or set EVENTBUS_TEST_POSTGRES_URL"
    )


def _places() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        yield Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip())
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    yield from (Path(directory) for directory in os.get_exec_path())


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _settings(**settings: str) -> Iterator[str]:
    for name, value in settings.items():
        yield from ("-c", f"{name}={value}")


def execute(url: str, *statements: str) -> None:
    """One after the other, in one session.

    In a thread, for the fixtures of an asynchronous test may have a loop of their own here.
    """

    async def carry_out() -> None:
        connection = await asyncpg.connect(url, timeout=30)
        try:
            for statement in statements:
                await connection.execute(statement, timeout=30)
        finally:
            await connection.close(timeout=30)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, carry_out()).result(timeout=120)
