"""RabbitMQ's management API: what AMQP cannot be asked. Whoever uses it can do without."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, cast
from urllib.parse import quote, unquote, urlsplit

from eventbus.errors import ConfigurationError, shorten
from eventbus.rabbitmq.address import Address
from eventbus.rabbitmq.dialing import NAMESPACE, PURPOSE
from eventbus.rabbitmq.options import RabbitMQOptions

_DEFAULT_PORTS: Final = {"http": 15672, "https": 15671}
_MOST_BYTES: Final = 64 * 1024 * 1024
_OK: Final = 200
_UNHEALTHY: Final = 503
_WRONG: Final = "the management URL must be like http://localhost:15672"
_CLIENT_PROPERTIES: Final = ("connection_name", NAMESPACE, PURPOSE)


class ManagementUnavailable(Exception):
    """The API is not there, or does not let us in."""

    def __init__(self, problem: str, date: datetime | None = None) -> None:
        self.date = date
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Answer:
    """`date`: the time on the broker's clock, cut down to a whole second."""

    value: object
    date: datetime | None

    def as_list(self, where: str) -> list[dict[str, Any]]:
        found = self.value
        if not isinstance(found, list):
            raise ManagementUnavailable(f"{where} is no management API")
        return cast("list[dict[str, Any]]", found)


class Management:
    """Reads about one virtual host."""

    def __init__(self, address: Address, options: RabbitMQOptions) -> None:
        try:
            url = urlsplit(
                options.management_url or f"http://{_in_url(address.host)}:{_DEFAULT_PORTS['http']}"
            )
            port = url.port
        except ValueError:  # it may quote the password
            raise ConfigurationError(_WRONG) from None
        if url.scheme not in _DEFAULT_PORTS or not url.hostname:
            raise ConfigurationError(_WRONG)
        self._address = address
        self._timeout = options.management_timeout
        self._secure = url.scheme == "https"
        self._host, self._port = url.hostname, port or _DEFAULT_PORTS[url.scheme]
        self._path = url.path.rstrip("/")
        user = unquote(url.username) if url.username else address.user
        password = unquote(url.password) if url.password else address.password
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        self._headers = {"Authorization": f"Basic {token}", "Accept": "application/json"}

    async def exchanges(self) -> list[dict[str, Any]]:
        return await self._list("exchanges", "name,type,durable,arguments")

    async def queues(self) -> list[dict[str, Any]]:
        columns = "name,durable,arguments,messages,messages_unacknowledged,messages_dlx"
        return await self._list("queues", columns)

    async def bindings(self) -> list[dict[str, Any]]:
        return await self._list("bindings", "source,destination,destination_type,routing_key")

    async def connections(self) -> list[dict[str, Any]]:
        """Those of the virtual host that our user may see: all of them with the tag `monitoring`."""
        columns = f"name,user,state,client_properties.{',client_properties.'.join(_CLIENT_PROPERTIES)}"
        found = await self.ask(f"vhosts/{self._vhost}/connections?columns={columns}")
        return found.as_list(self._where)

    async def feature_flags(self) -> list[dict[str, Any]]:
        """For administrators."""
        return (await self.ask("feature-flags?columns=name,state")).as_list(self._where)

    async def alarms(self) -> list[dict[str, Any]]:
        """`node` and `resource` of each; the API says so with a status that else means that it is broken."""
        answer = await self.ask("health/checks/alarms", statuses=(_OK, _UNHEALTHY))
        found: object = answer.value
        alarms = cast("dict[str, Any]", found).get("alarms", []) if isinstance(found, dict) else None
        return Answer(alarms, answer.date).as_list(self._where)

    async def date(self) -> datetime | None:
        """The time on the broker's clock, cut down to a whole second; a refusal is dated too."""
        try:
            return (await self.ask("whoami")).date
        except ManagementUnavailable as error:
            if error.date is None:
                raise
            return error.date

    async def ask(self, path: str, *, statuses: Sequence[int] = (_OK,)) -> Answer:
        """Raises `ManagementUnavailable` within twice the management timeout."""
        try:
            async with asyncio.timeout(2 * self._timeout):
                return await asyncio.to_thread(self._get, f"{self._path}/api/{path}", statuses)
        except TimeoutError:
            raise ManagementUnavailable(f"no answer from {self._where}") from None

    async def _list(self, what: str, columns: str) -> list[dict[str, Any]]:
        return (await self.ask(f"{what}/{self._vhost}?columns={columns}")).as_list(self._where)

    @property
    def _vhost(self) -> str:
        return quote(self._address.vhost, safe="")

    @property
    def _where(self) -> str:
        return f"{'https' if self._secure else 'http'}://{_in_url(self._host)}:{self._port}"

    def _get(self, path: str, statuses: Sequence[int]) -> Answer:
        try:
            with closing(self._connection()) as connection:
                connection.request("GET", path, headers=self._headers)
                response = connection.getresponse()
                answer = response.read(_MOST_BYTES)
        except (OSError, HTTPException, UnicodeError) as error:  # the last: of a name that can be no host's
            raise ManagementUnavailable(f"{self._where}: {error}") from error
        date = _date(response.headers.get("Date"))
        if response.status not in statuses:
            problem = f"{self._where} answers {response.status} {shorten(response.reason)}"
            raise ManagementUnavailable(problem, date)
        try:
            return Answer(json.loads(answer), date)
        except ValueError as error:
            raise ManagementUnavailable(f"{self._where} is no management API: {error}") from error

    def _connection(self) -> HTTPConnection:
        if not self._secure:
            return HTTPConnection(self._host, self._port, timeout=self._timeout)
        context = ssl.create_default_context(cafile=self._address.cafile, capath=self._address.capath)
        return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
