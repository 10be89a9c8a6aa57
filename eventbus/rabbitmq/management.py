"""RabbitMQ's management API: what AMQP cannot be asked. Whoever uses it can do without."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, cast
from urllib.parse import quote, unquote, urlsplit

from eventbus.errors import ConfigurationError, shorten
from eventbus.rabbitmq.address import Address
from eventbus.rabbitmq.options import RabbitMQOptions

_DEFAULT_PORTS: Final = {"http": 15672, "https": 15671}
_MOST_BYTES: Final = 64 * 1024 * 1024
_OK: Final = 200


class ManagementUnavailable(Exception):
    """The API is not there, or does not let us in."""


class Management:
    """Reads about one virtual host."""

    def __init__(self, address: Address, options: RabbitMQOptions) -> None:
        url = urlsplit(options.management_url or f"http://{_in_url(address.host)}:{_DEFAULT_PORTS['http']}")
        try:
            port = url.port
        except ValueError:
            port = -1
        if url.scheme not in _DEFAULT_PORTS or not url.hostname or port == -1:
            raise ConfigurationError("the management URL must be like http://localhost:15672")
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
        return await self._list("exchanges", "name,type,durable")

    async def queues(self) -> list[dict[str, Any]]:
        return await self._list("queues", "name,durable,arguments,messages_unacknowledged")

    async def bindings(self) -> list[dict[str, Any]]:
        return await self._list("bindings", "source,destination,destination_type,routing_key")

    async def _list(self, what: str, columns: str) -> list[dict[str, Any]]:
        path = f"{self._path}/api/{what}/{quote(self._address.vhost, safe='')}?columns={columns}"
        try:
            async with asyncio.timeout(2 * self._timeout):
                return await asyncio.to_thread(self._get, path)
        except TimeoutError:
            raise ManagementUnavailable(f"no answer from {self._where}") from None

    @property
    def _where(self) -> str:
        return f"{'https' if self._secure else 'http'}://{_in_url(self._host)}:{self._port}"

    def _get(self, path: str) -> list[dict[str, Any]]:
        connection = self._connection()
        try:
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            answer = response.read(_MOST_BYTES)
        except (OSError, HTTPException) as error:
            raise ManagementUnavailable(f"{self._where}: {error}") from error
        finally:
            connection.close()
        if response.status != _OK:
            raise ManagementUnavailable(f"{self._where} answers {response.status} {shorten(response.reason)}")
        try:
            found = json.loads(answer)
        except ValueError as error:
            raise ManagementUnavailable(f"{self._where} is no management API: {error}") from error
        if not isinstance(found, list):
            raise ManagementUnavailable(f"{self._where} is no management API")
        return cast("list[dict[str, Any]]", found)

    def _connection(self) -> HTTPConnection:
        if not self._secure:
            return HTTPConnection(self._host, self._port, timeout=self._timeout)
        context = ssl.create_default_context(cafile=self._address.cafile, capath=self._address.capath)
        return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
