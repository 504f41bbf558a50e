"""Where a request comes from, and what the client list of a clp.conf leaves an address to do.

Rules of this file
- The web server itself puts the address that a trusted proxy tells (OPENCLP_PROXIES) in the place of the proxy's own.
- A request that still carries a proxy's word was forwarded by somebody who is not trusted, so it is not local: nobody
  becomes local by a header, nor by a proxy on this machine that was forgotten.
- What is local may do all: a mistake in a client list must not lock out who could mend it.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from agent.clpconf.document import Document, DocumentError
from webmanager.models import Cluster

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNKNOWN = "unknown"
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
_FORWARDED_HEADERS = (b"x-forwarded-for", b"forwarded", b"x-real-ip")
# The highest role that an address leaves to somebody.
ALL, LOOK, NOTHING = "administrator", "viewer", ""


class Origin(NamedTuple):
    address: str
    local: bool


NOWHERE = Origin(UNKNOWN, local=False)


def of_request(meta: Mapping[str, Any]) -> Origin:
    address = str(meta.get("REMOTE_ADDR") or UNKNOWN)
    return Origin(address, _is_loopback(address) and not any(meta.get(name) for name in _FORWARDED))


def of_scope(scope: Mapping[str, Any]) -> Origin:
    """Of a websocket's handshake."""
    address = (scope.get("client") or (UNKNOWN, 0))[0]
    forwarded = any(name in _FORWARDED_HEADERS for name, _ in scope["headers"])
    return Origin(address, _is_loopback(address) and not forwarded)


def group_of(address: str) -> str:
    """Who is one client for counting: of IPv6 a whole /64, since every host has as many addresses as it likes."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network(f"{parsed}/64", strict=False))
    return str(parsed or address)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _is_loopback(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


class ClientList(NamedTuple):
    """webmgr/security/clientlist of a clp.conf."""

    restricted: bool = False
    operate: tuple[Network, ...] = ()
    look: tuple[Network, ...] = ()

    def leaves(self, origin: Origin) -> str:
        if not self.restricted or origin.local:
            return ALL
        parsed = _parsed(origin.address)
        if parsed is None:
            return NOTHING
        if _within(parsed, self.operate):
            return ALL
        return LOOK if _within(parsed, self.look) else NOTHING


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def client_list(cluster: Cluster) -> ClientList:
    return _of_configuration(cluster.pk, cluster.config_hash) if cluster.config_hash else ClientList()


@functools.lru_cache(maxsize=256)
def _of_configuration(key: int, config_hash: str) -> ClientList:
    """`config_hash` makes a changed clp.conf count at once, in every process."""
    found = Cluster.objects.filter(pk=key).values_list("config", flat=True).first()
    return read(bytes(found or b""))


def read(config: bytes) -> ClientList:
    if b"clientlist" not in config:  # Nearly all; reading a large file takes a second.
        return ClientList()
    try:
        found = Document.read(config).root.find("webmgr/security/clientlist")
    except DocumentError as error:
        log.warning("the client list of a clp.conf cannot be read: %s", error)
        return ClientList()
    if found is None:
        return ClientList()
    restricted = found.child("iprest")
    lists = (tuple(_networks(one.attributes.get("name") for one in found.named(tag))) for tag in ("ip", "ipro"))
    return ClientList(restricted is not None and restricted.value.strip() == "1", *lists)


def _networks(names: Iterable[str | None]) -> Iterable[Network]:
    for name in names:
        try:
            yield ipaddress.ip_network((name or "").strip(), strict=False)
        except ValueError:
            log.warning("the client list of a clp.conf names %r, which is no address and no network", name)
