"""nas: a directory of a file server, mounted where the group runs."""

from __future__ import annotations

from agent.clpconf.schema import HOST, TEXT, Param, TypeSpec, choice
from agent.resources import ResourceType
from agent.resources.filesystems import mount_point, mounting, unmounting

SPEC = TypeSpec(
    "nas",
    "NAS resource",
    params=(
        Param("parameters/server", "File server", HOST, required=True, source="openclp"),
        Param("parameters/sharename", "Shared directory", TEXT, required=True,
              help="As the file server exports it, for example /export/data.", source="openclp"),
        Param("parameters/fs", "Protocol", choice(("nfs", "NFS"), ("nfs4", "NFS version 4"), ("cifs", "CIFS")),
              default="nfs", source="openclp"),
        mount_point(required=True),
        *mounting(180),
        *unmounting(120),
    ),
    depends_on=("fip",),
    activation_timeout_s=900,
    deactivation_timeout_s=660,
    help="Mounts a directory of an NFS or CIFS server.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = ResourceType(SPEC)
