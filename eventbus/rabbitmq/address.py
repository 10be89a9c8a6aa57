"""Where the broker is: an AMQP URL, read once and checked, and never shown with its password."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from eventbus.errors import ConfigurationError, shorten

EXAMPLE: Final = "amqp://user:password@localhost:5672/vhost"
_DEFAULT_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_LONGEST_HEARTBEAT: Final = 3600
_TLS_PARAMETERS: Final = frozenset({"cafile", "capath", "certfile", "keyfile"})


@dataclass(frozen=True, slots=True)
class Address:
    """One broker, which may be a cluster of several hosts, and one virtual host of it."""

    hosts: tuple[tuple[str, int], ...]
    """Host and port of each; at least one."""
    user: str
    password: str = field(repr=False)
    vhost: str
    tls: bool = False
    cafile: str | None = None
    capath: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    heartbeat: int | None = None
    """Seconds, where the URL says so."""

    @property
    def host(self) -> str:
        """The first."""
        return self.hosts[0][0]

    @property
    def port(self) -> int:
        """The first host's."""
        return self.hosts[0][1]

    def __str__(self) -> str:
        """Fit for logs."""
        scheme = "amqps" if self.tls else "amqp"
        hosts = ",".join(in_url(*host) for host in self.hosts)
        vhost = "" if self.vhost == "/" else quote(self.vhost, safe="")
        return f"{scheme}://{quote(self.user, safe='')}:***@{hosts}/{vhost}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Certificates and host names are always verified. Reads files; raises `ConfigurationError`."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile, capath=self.capath)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"the certificates of {self} cannot be loaded: {error}.") from error
        return context


def parse(url: str) -> Address:
    """The address that a URL names; raises `ConfigurationError`, which shows nothing of a password."""
    try:
        parts, several = _split(url)
        hosts = _hosts(several, _DEFAULT_PORTS.get(parts.scheme, 0))
    except ValueError:
        raise _wrong(
            "cannot be read: is its port a number, are the special characters of its password %-encoded?"
        ) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise _wrong(f"begins with {shorten(parts.scheme, 20)!r}, not with amqp:// or amqps://")
    if not all(_can_be_a_host(host) for host, _ in hosts):
        raise _wrong("names no host" if len(hosts) == 1 else "names no host beside one of its commas")
    if parts.fragment or "/" in parts.path[1:]:
        raise _wrong("has a '#' or a second '/': write them as %23 and %2F in passwords and virtual hosts")
    given = _parameters(parts.query, tls=parts.scheme == "amqps")
    return Address(
        hosts=hosts,
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password if parts.password is not None else "guest"),
        vhost=unquote(parts.path[1:]) or "/",
        tls=parts.scheme == "amqps",
        cafile=given.get("cafile"),
        capath=given.get("capath"),
        certfile=given.get("certfile"),
        keyfile=given.get("keyfile"),
        heartbeat=_heartbeat(given.get("heartbeat")),
    )


def in_url(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(url: str) -> tuple[SplitResult, str]:
    """The URL with one host for all, and the hosts: older Pythons take no [::1] after a comma."""
    scheme, slashes, rest = url.partition("://")
    end = next((at for at, c in enumerate(rest) if c in "/?#"), len(rest))
    user, at, several = rest[:end].rpartition("@")
    if "," not in several:
        return urlsplit(url), several
    return urlsplit(f"{scheme}{slashes}{user}{at}host{rest[end:]}"), several


def _hosts(netloc: str, default_port: int) -> tuple[tuple[str, int], ...]:
    """Of `host1:5672,host2`; raises `ValueError` for a port that is none."""
    given = [urlsplit(f"//{each}") for each in netloc.split(",")]
    return tuple((each.hostname or "", each.port or default_port) for each in given)


def _can_be_a_host(host: str) -> bool:
    return host != "" and all(c.isprintable() and not c.isspace() for c in host)


def _parameters(query: str, *, tls: bool) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    if given.pop("no_verify_ssl", "0") != "0":
        raise _wrong(
            "asks for no_verify_ssl, which lets anyone read and change events: "
            "name the authority of the broker's certificate with ?cafile=/path/ca.pem instead"
        )
    for name in given:
        if name not in _TLS_PARAMETERS | {"heartbeat"}:
            known = ", ".join(sorted(_TLS_PARAMETERS | {"heartbeat"}))
            raise _wrong(f"has an unknown parameter {shorten(name, 40)!r}; there are {known}")
        if name in _TLS_PARAMETERS and not tls:
            raise _wrong(f"has {name}, but begins with amqp://: use amqps://")
    return given


def _heartbeat(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LONGEST_HEARTBEAT):
        raise _wrong(f"has a heartbeat that is no whole number of seconds from 1 to {_LONGEST_HEARTBEAT}")
    return int(text)


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(f"the broker's URL {problem}. A right one: {EXAMPLE}")
