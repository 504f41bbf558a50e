"""PostgreSQL on the mirror disk of the demo: where its programs are, the scripts of its resource, how it is reached."""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path

from webmanager.demo.bed import missing_programs
from webmanager.demo.machine import BedError

NAME = "postgresql1"  # of the exec resource
PORT = 5432
USER = "postgres"  # the account of Debian's package, and the role
# Every server of the bed has a directory of its own there. No password: only the bed's own networks get so far.
SOCKETS = "/dev/shm"  # noqa: S108
LOCAL = f"postgresql:///postgres?host={SOCKETS}&port={PORT}&user={USER}&connect_timeout=2"
SIZE_MIB = 160  # of the mirror disk, on which all of it has room
_INSTALLED = Path("/usr/lib/postgresql")
_NETWORK = "10.29.0.0/16"
_SETTINGS = {
    "listen_addresses": "*", "port": PORT, "unix_socket_directories": SOCKETS,
    "shared_buffers": "16MB", "max_connections": 50, "max_wal_size": "16MB", "min_wal_size": "4MB",
    # A floating address moves away from under its connections: nobody tells them.
    "tcp_keepalives_idle": 2, "tcp_keepalives_interval": 1, "tcp_keepalives_count": 3,
    "log_min_messages": "warning", "cluster_name": "openclp-demo",
}  # fmt: skip

START = """#!/bin/sh
# PostgreSQL with its data on the mirror disk. It runs until it is stopped.
set -eu
umask 077
data={data}
as_postgres="setpriv --reuid={user} --regid={user} --init-groups --reset-env"
if [ ! -e "$data" ]; then
    # Complete or not there: the server may die in between.
    rm -rf "$data.new"
    install -d -m 700 -o {user} -g {user} "$data.new"
    $as_postgres {programs}/initdb -D "$data.new" -U {user} --auth=trust --encoding=UTF8 --no-locale \\
        --wal-segsize=1 >/dev/null
    echo "host all all {network} trust" >>"$data.new/pg_hba.conf"
    cat >>"$data.new/postgresql.conf" <<EOF
{settings}
EOF
    sync -f "$data.new"
    mv "$data.new" "$data"
fi
exec $as_postgres {programs}/postgres -D "$data"
"""
STOP = """#!/bin/sh
# In order, and where that takes too long (a disk that does not answer), as after a crash: nothing committed is lost.
stop() {{
    setpriv --reuid={user} --regid={user} --init-groups --reset-env {programs}/pg_ctl -D {data} -s -w -t 5 -m "$1" stop
}}
stop fast || stop immediate
exit 0
"""


def programs() -> Path:
    """Of the newest PostgreSQL of this machine; BedError says what is missing."""
    if os.geteuid() != 0:
        raise BedError("PostgreSQL on a mirror disk needs root: loop devices, and an account of its own")
    found = [path for path in _INSTALLED.glob("*/bin") if (path / "postgres").is_file() and path.parent.name.isdigit()]
    if not found:
        raise BedError(f"there is no PostgreSQL in {_INSTALLED}: apt-get install postgresql")
    try:
        pwd.getpwnam(USER)
    except KeyError:
        raise BedError(f"PostgreSQL has no account {USER} here: apt-get install postgresql") from None
    missing_programs({"setpriv": "util-linux"})
    return max(found, key=lambda path: int(path.parent.name))


def scripts(point: str) -> dict[str, str]:
    """Of the exec resource; its data are below the mirror's mount point."""
    settings = "\n".join(f"{name} = '{value}'" for name, value in _SETTINGS.items())
    words = {
        "data": shlex.quote(f"{point}/postgresql"), "programs": shlex.quote(str(programs())), "user": USER,
        "network": _NETWORK, "settings": settings,
    }  # fmt: skip
    return {"start.sh": START.format(**words), "stop.sh": STOP.format(**words)}
