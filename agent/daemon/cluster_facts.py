"""The few facts of clp.conf that supervisor and heartbeat child need, read by the loader process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.daemon import spawn
from agent.daemon.arbiter_settings import arbiters_of
from agent.daemon.heartbeat_lan import canonical
from agent.daemon.paths import Paths
from agent.drivers import kernel
from agent.drivers.watchdog import MODULES, find_device
from agent.wire.heartbeat import MAX_PATHS, MAX_SERVERS, derive_key
from agent.wire.witness import derive_secret

LOAD_S = 60.0
MODEL_BYTES = 16 << 20
_MODPROBE_S, _MODPROBE_BYTES = 10.0, 4096
LAN_HEARTBEATS = frozenset({"lanhb", "lankhb"})
VOTING = frozenset({"majonp", "httpnp", "disknp"})  # resolvers with which a server needs a lease
FENCES = ("reboot", "report", "none")


class ConfigurationError(Exception):
    """The service cannot start with this; its text says what to mend."""


class Facts(NamedTuple):
    me: str
    cluster: str
    servers: list[str]
    paths: list[str]
    addresses: dict[str, dict[str, str]]  # server -> heartbeat -> address
    key: str  # hex, of the heartbeats only
    interval_s: float
    timeout_s: float
    grace_s: float
    majority: bool
    fence: str
    watchdog: str = ""  # path of the device
    watchdog_none: str = ""  # why there is none
    panics: bool = False
    arbiters: list[dict[str, Any]] = []  # for the arbiter child, as is the secret (hex)
    witness_secret: str = ""

    def child_settings(
        self, incarnation: int, socket: str, release: Sequence[str], words: Mapping[str, Any]
    ) -> dict[str, Any]:
        """For the heartbeat child; `words`: what the one before it said last."""
        own = {key: value for key, value in self._asdict().items() if key not in ("arbiters", "witness_secret")}
        return {**own, "incarnation": incarnation, "socket": socket, "release": list(release), **words}


def read_facts(places: Paths, read: Callable[[], spawn.Result], fence: str) -> Facts:
    """ConfigurationError carries all findings, or the sentence that says what is missing."""
    if fence and fence not in FENCES:
        raise ConfigurationError(f"OPENCLP_FENCE is {fence!r}; it can be {', '.join(FENCES)}.")
    result = read()
    if result.code is None:
        raise ConfigurationError(f"{places.config} could not be read within {LOAD_S:g} s.")
    if result.code != 0:
        findings = result.err.decode("utf-8", "replace").strip()
        raise ConfigurationError(f"{places.config} cannot be used:\n{findings}")
    try:
        key = places.read_key()
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return facts_of(json.loads(result.out), places.own_name(), key, places, fence)


def facts_of(model: Mapping[str, Any], me: str, key: bytes, places: Paths, fence: str) -> Facts:
    servers = [server["name"] for server in model["servers"]]
    if me not in servers:
        raise ConfigurationError(
            f"This server is {me}, but {places.config} knows only {', '.join(servers)}. "
            f"Rename the host, or write its name in the cluster to {places.server}."
        )
    if len(servers) > MAX_SERVERS:
        raise ConfigurationError(f"{places.config} has {len(servers)} servers; {MAX_SERVERS} are possible.")
    addresses = _addresses(model, me, places)
    paths = [h["name"] for h in model["heartbeats"] if any(h["name"] in ways for ways in addresses.values())]
    if len(paths) > MAX_PATHS:
        raise ConfigurationError(f"{places.config} has {len(paths)} LAN heartbeats; {MAX_PATHS} are possible.")
    if len(servers) > 1 and not addresses[me]:
        raise ConfigurationError(
            f"{me} has no LAN heartbeat in {places.config}: add a lanhb with a device of this server."
        )
    arbiters = arbiters_of(model, me)
    watchdog, watchdog_none = _watchdog(model)
    return Facts(
        me, model["name"], servers, paths or ["none"], addresses, derive_key(key).hex(),
        float(model["interval_s"]), float(model["timeout_s"]), float(model["grace_s"]),
        any(resolver["type"] in VOTING for resolver in model["resolvers"]),
        fence or ("reboot" if model["self_fencing"] else "none"),
        watchdog, watchdog_none, bool(model["watchdog_panics"]),
        arbiters, derive_secret(key).hex() if arbiters else "",
    )  # fmt: skip


def _watchdog(model: Mapping[str, Any]) -> tuple[str, str]:
    """The device of the configured method, or why there is none. Its kernel module is loaded where it is missing."""
    method = model["watchdog"]
    path, why = find_device(method) if model["self_fencing"] else ("", "")
    if why and kernel.owns_machine():
        for program in ("/usr/sbin/modprobe", "/sbin/modprobe"):
            if os.access(program, os.X_OK):
                spawn.run((program, "-q", MODULES[method]), {}, _MODPROBE_S, _MODPROBE_BYTES)
                return find_device(method)
    return path, why


def _addresses(model: Mapping[str, Any], me: str, places: Paths) -> dict[str, dict[str, str]]:
    addresses: dict[str, dict[str, str]] = {}
    for server in model["servers"]:
        devices = {device["id"]: device["info"] for device in server["devices"]}
        ways: dict[str, str] = {}
        for heartbeat in model["heartbeats"]:
            address = devices.get(heartbeat["device"], "")
            if heartbeat["type"] not in LAN_HEARTBEATS or not address or address in ways.values():
                continue  # Two heartbeats over one address would be one path counted twice.
            ways[heartbeat["name"]] = _checked(address, server["name"], heartbeat["name"], places)
        addresses[server["name"]] = ways
    return addresses


def _checked(address: str, server: str, heartbeat: str, places: Paths) -> str:
    try:
        canonical(address)
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{places.config}: the device of {server} for {heartbeat} is {address!r}; it must be an IP address."
        ) from None
    return address
