"""SNMP traps (v1 and v2c) of alerts, in BER. What the numbers mean: agent/alerts/OPENCLP-MIB.txt."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from agent.wire.alerts import Alert

Oid = tuple[int, ...]
# openclp has no number of its own from IANA: this is the place that net-snmp leaves to everybody (netSnmpPlaypen).
ROOT: Oid = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 29003)
NOTIFICATIONS: Oid = (*ROOT, 0)
OBJECTS: Oid = (*ROOT, 1)
SPECIFIC = {"info": 1, "warning": 2, "error": 3}
_SYS_UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_TRAP_OID: Oid = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
_INTEGER, _OCTETS, _OID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30
_IP_ADDRESS, _TIME_TICKS = 0x40, 0x43
_TRAP_V1, _TRAP_V2 = 0xA4, 0xA7
_ENTERPRISE_SPECIFIC = 6
_TEXT_BYTES = 1024  # a trap shall fit into one packet


def trap(alert: Alert, cluster: str, *, version: str, community: str, request: int, uptime_s: float) -> bytes:
    """One datagram. `request` numbers it, `uptime_s` is how long the sender runs."""
    variables = _variables(alert, cluster)
    ticks = _unsigned(_TIME_TICKS, int(uptime_s * 100) & 0xFFFFFFFF)
    if version == "v1":
        pdu = _tlv(
            _TRAP_V1,
            oid(ROOT), _tlv(_IP_ADDRESS, IPv4Address("0.0.0.0").packed), integer(_ENTERPRISE_SPECIFIC),  # noqa: S104
            integer(SPECIFIC[alert.severity]), ticks, _bindings(variables),
        )  # fmt: skip
    else:
        head = [(_SYS_UPTIME, ticks), (_TRAP_OID, oid((*NOTIFICATIONS, SPECIFIC[alert.severity])))]
        pdu = _tlv(
            _TRAP_V2, integer(request & 0x7FFFFFFF), integer(0), integer(0), _bindings([*head, *variables])
        )  # fmt: skip
    return _tlv(_SEQUENCE, integer(0 if version == "v1" else 1), octets(community), pdu)


def _variables(alert: Alert, cluster: str) -> list[tuple[Oid, bytes]]:
    values = (
        octets(cluster), octets(alert.server), octets(alert.module), integer(alert.event),
        integer(SPECIFIC[alert.severity]), octets(alert.name), octets(alert.text), octets(alert.id),
    )  # fmt: skip
    return [((*OBJECTS, number, 0), value) for number, value in enumerate(values, 1)]


def _bindings(variables: Sequence[tuple[Oid, bytes]]) -> bytes:
    return _tlv(_SEQUENCE, *(_tlv(_SEQUENCE, oid(name), value) for name, value in variables))


# BER -----------------------------------------------------------------------------------------------------------------


def integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(text: str) -> bytes:
    """UTF-8, cut between two characters."""
    return _tlv(_OCTETS, text.encode("utf-8", "replace")[:_TEXT_BYTES].decode("utf-8", "ignore").encode())


def oid(numbers: Oid) -> bytes:
    body = bytearray((numbers[0] * 40 + numbers[1],))
    for number in numbers[2:]:
        part = [number & 0x7F]
        while number := number >> 7:
            part.append(0x80 | (number & 0x7F))
        body += bytes(reversed(part))
    return _tlv(_OID, bytes(body))


def _unsigned(tag: int, value: int) -> bytes:
    return _tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = len(body)
    if length < 0x80:
        return bytes((tag, length)) + body
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + body
