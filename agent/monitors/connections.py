"""What monitors of network services share: where the service is and who signs in."""

from __future__ import annotations

from agent.clpconf.schema import HOST, SECRET, TEXT, Param, integer

_SOURCE = "clp-conf-format 8"


def server(port: int) -> tuple[Param, ...]:
    return (
        Param("parameters/servername", "Server name", HOST, default="localhost", source=_SOURCE),
        Param("parameters/ipaddress", "Address", HOST, default="127.0.0.1", source=_SOURCE,
              help="Counts before the server name."),
        Param("parameters/port", "Port", integer(1, 65535), default=port, source=_SOURCE),
    )  # fmt: skip


SIGN_IN = (
    Param("parameters/username", "User name", TEXT, default="", source=_SOURCE),
    Param("parameters/password", "Password", SECRET, source=_SOURCE),
)
