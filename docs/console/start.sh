#!/bin/sh
# The manager as an exec resource of a failover group: it runs until the group is stopped ("Wait for the start script": no).
set -eu
set -a
. "$(dirname "$0")/console.env"
set +a
cd "$CONSOLE_HOME"
# A mirror that is not mounted must not get a second, empty manager below its mount point.
[ -n "${DATABASE_URL:-}" ] || [ -d "$OPENCLP_DATA" ] || {
    echo "There is no $OPENCLP_DATA. Is its disk mounted? At the very first time: mkdir -m 700 $OPENCLP_DATA" >&2
    exit 1
}
exec "${CONSOLE_PYTHON:-$CONSOLE_HOME/.venv/bin/python}" manage.py up --host "$CONSOLE_ADDRESS" --ports "$CONSOLE_PORTS"
