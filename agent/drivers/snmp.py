"""Sends SNMP traps. Nobody says whether one arrived."""

from __future__ import annotations

from agent.drivers.syslog import send_datagram


def send_trap(data: bytes, host: str, port: int) -> None:
    send_datagram(data, host, port, "SNMP trap")
