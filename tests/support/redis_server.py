"""A Redis of our own, from the installed redis-server: own directory, port and password.

On the loopback interface only. It ends with the lifeline of the directory that it lies in.
Ready in a tenth of a second.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from tests.support.eventually import eventually_sync
from tests.support.ports import free_ports
from tests.support.server_process import ServerProcess


class RedisServer:
    """One that a test may kill, freeze and start again, on the same port."""

    def __init__(self, lifeline: Path, *, appendonly: bool = False, password: str | None = None) -> None:
        """`lifeline` is the directory of one; nothing runs yet.

        With `appendonly` it keeps over a kill what it has answered for; otherwise it starts empty again.
        """
        self._process = ServerProcess(lifeline, "redis")
        port = free_ports(1)[0]
        password = password or f"{random.getrandbits(128):x}"
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._configuration = self._process.home / "redis.conf"
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(
            f"""
            bind 127.0.0.1
            port {port}
            requirepass {password}
            dir "{self._process.home}"
            databases 256
            save ""
            appendonly {"yes" if appendonly else "no"}
            appendfsync always
            """.replace("            ", "")
        )

    def start(self, *, within: float = 30.0) -> None:
        """Returns when it answers, with its data read."""
        self._process.start(_program(), str(self._configuration))
        eventually_sync(self._answers, within=within, despite=NoConnection)

    def kill(self) -> None:
        """kill -9: no connection is closed in good order."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> None:
        """In good order; a paused one has to be resumed before."""
        self._process.end(signal.SIGTERM)

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

    def _answers(self) -> bool:
        self._process.assert_alive()
        with connect(self.url) as client:
            return bool(client.ping())


def connect(url: str) -> Redis:
    """A client for tests that have no event loop; each of its calls is bounded."""
    return Redis.from_url(url, socket_timeout=30, socket_connect_timeout=30)


@contextmanager
def opened_empty(database: str) -> Iterator[Redis]:
    """A client to a database that is empty; AssertionError where it is not, for it may be somebody's."""
    with connect(database) as client:
        found = client.dbsize()
        assert found == 0, f"the logical database {urlsplit(database).path[1:]} for tests holds {found} keys"
        yield client


def numbered_database(server: str, number: int) -> str:
    """The URL of a logical database of the server: the one that its URL names, or the `number`th after it."""
    url = urlsplit(server)
    return url._replace(path=f"/{int(url.path.strip('/') or 0) + number}").geturl()


def _program() -> str:
    path = shutil.which("redis-server")
    assert path, "redis-server is not installed: apt-get install redis-server, or set EVENTBUS_TEST_REDIS_URL"
    return path
