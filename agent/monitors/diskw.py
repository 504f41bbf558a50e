"""diskw: watches a disk device by reading, writing or asking it."""

from __future__ import annotations

from agent.clpconf.schema import DEVICE, PATH, Param, TypeSpec, choice, integer
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "diskw",
    "Disk monitor",
    params=(
        Param(
            "parameters/method",
            "Method",
            choice(
                ("READ", "Read"),
                ("READ_O_DIRECT", "Read past the cache"),
                ("TUR", "TUR"),
                ("TUR_GENERIC", "TUR (generic)"),
                ("TUR_LEGACY", "TUR (legacy)"),
                ("WRITE", "Write a file"),
            ),
            default="READ",
            help="TUR needs a disk that knows the commands Test Unit Ready and SG_IO, and misses faults of the medium.",
            source="X 1.0 guide 5; clp-conf-format 8",
        ),
        Param(
            "parameters/object",
            "Device or file",
            PATH,
            required=True,
            help="The device that is read, or the file that is written.",
            source="clp-conf-format 8",
        ),
        Param("parameters/rawdevice", "Raw device", DEVICE, advanced=True, source="openclp"),
        Param(
            "parameters/size",
            "Size of a read or write",
            integer(1, 99_999_999),
            default=2_000_000,
            unit="bytes",
            help="512 for a read past the cache.",
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/diskfull",
            "When the disk is full",
            choice(("0", "Ignore it"), ("1", "Show an error")),
            default="1",
            only_when=(("parameters/method", ("WRITE",)),),
            advanced=True,
            source="openclp",
        ),
    ),
    help="Abnormal when the disk does not answer.",
    ready=False,
    family="Storage",
)

TYPE = MonitorType(SPEC)
