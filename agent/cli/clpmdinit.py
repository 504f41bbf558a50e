"""clpmdinit: make the cluster partition of a mirror disk on this server anew. The data partition is not touched."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent import catalog
from agent.cli import client, options
from agent.clpconf.load import load
from agent.clpconf.model import Cluster, Resource
from agent.mirrord.disk import DiskError
from agent.mirrord.partition import create, label_of
from agent.mirrord.settings import Settings

_NOTES = """
  clpmdinit --create normal MIRROR   make it, if the partition is empty
  clpmdinit --create force MIRROR    make it, whatever it holds: what this server knows of its data is forgotten, and
                                     everything is copied from the other server (or forced: clpmdctrl -f SERVER MIRROR)
  The cluster service must be stopped on this server (clpcl -t). The data partition is not touched.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    return options.run("clpmdinit", arguments.json, lambda: _run(arguments))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    made = options.parser("clpmdinit", "Initialise the cluster partition of a mirror disk on this server.", _NOTES)
    made.add_argument("--create", required=True, choices=("normal", "force"), help="see above")
    made.add_argument("mirror", metavar="MIRROR", help="name of an md resource")
    return made.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    _must_be_stopped()
    cluster = _cluster()
    settings = _settings(cluster, _resource(cluster, arguments.mirror))
    before = _before(settings.partition)
    try:
        label = create(settings, arguments.create == "force")
    except (DiskError, OSError) as error:
        raise client.CommandError(client.REFUSED, str(error)) from None
    if arguments.json:
        told = {"mirror": label.mirror, "partition": settings.partition, "size": label.size, "before": before}
        print(options.json_text({"ok": True, "code": client.OK, **told}))
        return client.OK
    if before:
        print(f"{settings.partition} held {before}; that is forgotten.")
    print(f"{settings.partition} is made for {label.mirror} of the cluster {label.cluster} ({label.size} bytes).")
    print("Command succeeded.")
    return client.OK


def _must_be_stopped() -> None:
    try:
        view = client.status()
    except client.NotRunningError:
        return
    own = view.status["servers"].get(view.me, {})
    if own.get("status") != "Offline":
        text = f"The cluster service runs on {view.me} ({own.get('status', 'Unknown')}). Stop it first: clpcl -t."
        raise client.CommandError(client.REFUSED, text)


def _cluster() -> Cluster:
    path = client.config_directory() / "clp.conf"
    try:
        loaded = load(path.read_bytes(), catalog.specs())
    except OSError as error:
        raise client.CommandError(client.REFUSED, f"{path} cannot be read: {error.strerror}.") from None
    if loaded.cluster is None:
        text = f"{path} cannot be used:\n" + "\n".join(map(str, loaded.errors))
        raise client.CommandError(client.REFUSED, text)
    return loaded.cluster


def _resource(cluster: Cluster, name: str) -> Resource:
    found = [resource for resource in cluster.resources if resource.type == "md"]
    known = options.names([resource.name for resource in found])
    for resource in found:
        if resource.name == name:
            return resource
    raise client.CommandError(client.REFUSED, f"There is no mirror disk {name} in clp.conf. Known: {known}.")


def _settings(cluster: Cluster, resource: Resource) -> Settings:
    """As far as the partition needs them."""
    me = client.own_name()
    options.need_server(me, cluster.server_names)
    values = resource.on(me)
    peer = next((name for name in cluster.server_names if name != me), "")
    return Settings(
        mirror=resource.name, cluster=cluster.name, server=me, peer=peer, key="", boot="", run="",
        data=str(values["parameters/diskdev/dppath"]), partition=str(values["parameters/diskdev/cppath"]),
    )  # fmt: skip


def _before(path: str) -> str:
    try:
        label = label_of(path)
    except OSError:
        return ""  # `create` says what is wrong with it.
    return f"the mirror {label.mirror} of the cluster {label.cluster}" if label else ""


if __name__ == "__main__":
    sys.exit(main())
