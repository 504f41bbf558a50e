"""clpcfctrl: bring a configuration to the servers, take it from them, check it, compare two."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from agent.cli import client, clpcf_check, options
from agent.cli.change import Change, ChangeRefusedError, Trial
from agent.cli.client import NOT_YET, OK, REFUSED, UNREACHABLE, USAGE, CommandError
from agent.cli.clpcf_file import CONF, codes, read_bundle, write
from agent.cli.delivery import Agents, Delivery, install_here
from agent.clpconf.archive import ArchiveError, Bundle, read_archive, write_archive
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.objects import of_kind
from agent.wire.delivery import StepError

_CODES = (
    (OK, "done; --check: no errors; --diff: the same"),
    (REFUSED, "refused or failed; --check, --compcheck: errors; --diff: different"),
    (USAGE, "wrong usage; --check, --diff: a file cannot be read"),
    (UNREACHABLE, "no agent answers, or not all of the servers do"),
    (NOT_YET, "delivered, but not every server has it, or runs with it yet"),
)
_NOTES = """
  --push brings DIR/clp.conf and DIR/scripts to every server: first it is checked and stored on all of them, then all
  are switched; when one of them cannot, nobody is. The version before is kept in STATE/configurations on each server.
  While the cluster service runs, the cluster changes over as a whole: groups that the change concerns stop and start
  again, all others run on. Whatever goes wrong then, every server returns to the version before by itself: when the
  servers do not hear each other with the new one, and when it is not kept in time.
  --confirm 300: it has to be kept within 300 s (clpcfctrl --keep), else every server returns, also when this server
  or the network is lost. With --health it is kept at the end of that time if every group is online, every server is
  there and no monitor finds an error; --push waits for that. Without either: --confirm 30 --health, or, where nothing
  restarts, --confirm 0, which keeps it as soon as all servers have met with it.
  --return goes back at once, as long as it is not kept. All servers must be there. With the service stopped on all of
  them, the agents begin anew with the new file, and wait for clpcl -s -a.
  Without an agent on this server, the files are put in place here alone; do so on each server of a new cluster.
  --pull takes what the cluster runs; files in DIR with other content are kept beside it, with .bak at their name.
  -l and -w say where the file was saved; both are accepted, and it is recognised.
  FILE, A and B: a clp.conf, a directory with clp.conf and scripts/, or an archive of one; --check takes - as well.
"""

_HEALTH_S = 30.0  # on trial where nothing else is said and something restarts
_LONGEST_S = 86400.0


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpcfctrl", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpcfctrl", "Deliver, fetch, check and compare configurations.")
    made.epilog = f"{_NOTES}\n{codes(_CODES)}"
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--push", action="store_true", help="deliver")
    what.add_argument("--pull", action="store_true", help="fetch")
    what.add_argument("--keep", action="store_true", help="the configuration on trial is right: it stays")
    what.add_argument("--return", dest="back", action="store_true", help="back to the one before it, now")
    what.add_argument("--check", metavar="FILE", type=Path, help="one finding a line: severity, code, place, text")
    what.add_argument("--diff", nargs=2, metavar=("A", "B"), type=Path, help="what B does differently from A")
    what.add_argument(
        "--compcheck", action="store_true", help="compare with what the servers have (disks, NICs, ports)"
    )
    saved = made.add_mutually_exclusive_group()
    saved.add_argument("-l", action="store_true", help="the file was saved on Linux")
    saved.add_argument("-w", action="store_true", help="the file was saved on Windows")
    made.add_argument("-x", dest="directory", type=Path, metavar="DIR", help="default: that of this server; --pull: .")
    made.add_argument("-h", dest="host", default="", metavar="SERVER", help="that server only (name or address)")
    made.add_argument("--force", action="store_true", help="--push: also when some servers do not answer")
    made.add_argument(
        "--confirm",
        type=_seconds,
        metavar="SECONDS",
        help="--push: to be kept within so long, else all return; 0: stays",
    )
    made.add_argument("--health", action="store_true", help="--push: kept then if the cluster is well")
    made.add_argument("--why", default="", metavar="TEXT", help="--push, --return: for the log")
    options.add_timeout(made)
    return made.parse_args(argv)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {_LONGEST_S:g}")
    return value


def _run(arguments: argparse.Namespace) -> int:
    if arguments.check is not None:
        return clpcf_check.check(arguments.check, arguments.json)
    if arguments.diff is not None:
        return clpcf_check.compare(arguments.diff[0], arguments.diff[1], arguments.json)
    if arguments.compcheck:
        return clpcf_check.live(arguments.directory, arguments.timeout, arguments.json)
    if arguments.keep or arguments.back:
        return _decide(arguments)
    return _push(arguments) if arguments.push else _pull(arguments)


def _decide(arguments: argparse.Namespace) -> int:
    """About the configuration on trial."""
    with options.progress_lines(not arguments.json) as tell:
        change = Change(arguments.timeout, tell)
        if arguments.keep:
            change.keep()
        else:
            change.give_back(arguments.why)
    if arguments.json:
        print(options.json_text({"ok": True, "code": OK}))
    else:
        print("It stays." if arguments.keep else "Every server runs the configuration before.")
        print("Command succeeded.")
    return OK


def _push(arguments: argparse.Namespace) -> int:
    bundle, _ = read_bundle(arguments.directory or client.config_directory())
    try:
        data, wanted = write_archive(bundle), _servers(bundle.conf)
    except ArchiveError as error:
        raise CommandError(REFUSED, str(error)) from None
    try:
        known = list(client.status().status["servers"])
    except client.NotRunningError:
        return _install(arguments, data, wanted)
    servers = [name for name in wanted if name in known]
    if arguments.host:
        servers = [_named(arguments.host, wanted, bundle.conf)]
    elif not servers:
        raise CommandError(REFUSED, f"None of its servers ({options.names(wanted)}) is one of this cluster.")
    agents = Agents(client.own_name(), arguments.timeout)
    with options.progress_lines(not arguments.json) as tell:
        delivery, change = Delivery(agents, data, tell), Change(arguments.timeout, tell)
        done = delivery.run(servers, arguments.force, partial(_change, arguments, change, delivery))
    missing = [name for name in wanted if name not in done]
    return _report(arguments, done, missing, known, "stopped" if delivery.restarts else change.state or "scripts")


def _change(arguments: argparse.Namespace, change: Change, delivery: Delivery, config: str) -> None:
    """Of a cluster that runs."""
    if arguments.host:
        text = (
            f"The service runs on {arguments.host}: deliver to all servers (without -h), or stop it there (clpcl -t)."
        )
        raise ChangeRefusedError(text)
    change.apply(config, _trial(arguments, delivery.level))


def _trial(arguments: argparse.Namespace, level: str) -> Trial:
    if arguments.confirm is not None or arguments.health:
        seconds = _HEALTH_S if arguments.confirm is None else arguments.confirm
        return Trial(seconds, arguments.health, arguments.why)
    if level in ("nothing", "noted"):
        return Trial(why=arguments.why)
    return Trial(_HEALTH_S, True, arguments.why)


def _install(arguments: argparse.Namespace, data: bytes, wanted: list[str]) -> int:
    """Where no agent runs. Nobody else is reached from here."""
    if arguments.host:
        raise CommandError(UNREACHABLE, "The agent does not run on this server, so that nobody else is reached.")
    found = install_here(data, arguments.timeout)
    return _report(arguments, [str(found["me"])], [name for name in wanted if name != found["me"]], [], "installed")


_THEN = {
    "installed": "",
    "stopped": " Start it with clpcl -s -a.",
    "scripts": " The service goes on: it runs the new scripts the next time.",
    "confirmed": " All of them run it, and it stays.",
    "trying": " All of them run it, for {confirm:g} s: clpcfctrl --keep, or every server returns to the one before.",
}


def _report(arguments: argparse.Namespace, done: list[str], missing: list[str], known: list[str], then: str) -> int:
    """`missing`: servers of the new configuration that do not have it."""
    gone = [name for name in known if name not in (*done, *missing)] if not arguments.host else []
    code = NOT_YET if missing and not arguments.host else OK
    lines = []
    if code != OK:
        lines.append(f"{', '.join(missing)} do not have it: install it there (clpcfctrl --push on that server).")
    if gone:
        lines.append(f"{', '.join(gone)} are no servers of it any more: stop clpd there.")
    if arguments.json:
        fields = {
            "delivered": done, "missing": missing, "removed": gone, "restarted": then == "stopped", "state": then,
        }  # fmt: skip
        print(options.json_text({"ok": code == OK, "code": code, **fields}))
    else:
        print(f"Delivered to {', '.join(done)}.{_THEN[then].format(confirm=arguments.confirm or 0)}")
        print("\n".join([*lines, *(["Command succeeded."] if code == OK else [])]))
    return code


def _servers(conf: bytes) -> list[str]:
    try:
        return [thing.name for thing in of_kind(Document.read(conf).root, "server")]
    except DocumentError as error:
        raise CommandError(REFUSED, f"{CONF} cannot be used: {error}") from None


def _named(host: str, servers: Sequence[str], conf: bytes) -> str:
    """The server with that name or address."""
    if host in servers:
        return host
    for thing in of_kind(Document.read(conf).root, "server"):
        if any((info := one.child("info")) is not None and info.value == host for one in thing.element.named("device")):
            return thing.name
    raise CommandError(REFUSED, f"There is no server {host}. Known: {options.names(servers)}.")


def _pull(arguments: argparse.Namespace) -> int:
    """From the agent; without one, and without a server named, from the files of this server."""
    me = client.own_name()
    directory = arguments.directory or Path()
    if not directory.is_dir():
        raise CommandError(REFUSED, f"There is no directory {directory}.")
    edited = False
    try:
        known = list(client.status().status["servers"])
        server = me if not arguments.host else _host(arguments.host, known)
        data, edited = Agents(me, arguments.timeout).fetch(server)
        bundle = read_archive(data)
    except client.NotRunningError:
        if arguments.host:
            raise
        server, (bundle, _) = me, read_bundle(client.config_directory())
    except (StepError, ArchiveError) as error:
        raise CommandError(REFUSED, str(error)) from None
    _put_down(directory, bundle)
    if edited:
        print(f"clpcfctrl: clp.conf of {server} was changed by hand since; this is what it runs.", file=sys.stderr)
    if arguments.json:
        fields = {"server": server, "directory": str(directory), "scripts": len(bundle.scripts), "edited": edited}
        print(options.json_text({"ok": True, "code": OK, **fields}))
    else:
        print("Command succeeded.")
    return OK


def _host(host: str, known: Sequence[str]) -> str:
    """An address is looked up in the clp.conf of this server."""
    if host in known:
        return host
    return _named(host, known, read_bundle(client.config_directory())[0].conf)


def _put_down(directory: Path, bundle: Bundle) -> None:
    """Through none of the links that may stand in that directory."""
    _replace(directory / CONF, bundle.conf, 0o644)
    for path, script in bundle.scripts.items():
        place = directory / "scripts" / path
        if not place.parent.resolve().is_relative_to(directory.resolve()):
            raise CommandError(REFUSED, f"{place.parent} leads out of {directory}. Choose an empty directory.")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(REFUSED, f"{place.parent} cannot be made: {error.strerror}.") from None
        _replace(place, script.data, script.mode)


def _replace(path: Path, data: bytes, mode: int) -> None:
    try:
        if path.is_symlink():
            raise CommandError(REFUSED, f"{path} is a link. Choose an empty directory.")
        if path.exists() and path.read_bytes() != data:
            path.replace(path.with_name(f"{path.name}.bak"))
    except OSError as error:
        raise CommandError(REFUSED, f"{path} cannot be replaced: {error.strerror}.") from None
    write(path, data, mode)


if __name__ == "__main__":
    sys.exit(main())
