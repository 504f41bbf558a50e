"""What resources with a file system share: how it is mounted, checked and unmounted."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, PATH, TEXT, Param, choice, integer, seconds, word

FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "reiserfs", "jfs", "vxfs", "zfs")
_MOUNT, _UNMOUNT, _CHECK = "Mounting", "Unmounting", "File system check"
_SOURCE = "clp-conf-format 7"
_TIME = seconds(1, 9999)
_RETRIES = integer(0, 999)
_OPTIONS = word(1023, r"[^\s'\"]+", "list of mount options", "Write options separated by commas, without blanks.")


def mount_point(*, required: bool, only_when: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Param:
    return Param(
        "parameters/mount/point", "Mount point", PATH, section=_MOUNT, source=_SOURCE,
        help="A directory on every server. The file system must not stand in /etc/fstab: the cluster mounts it.",
        required=required, only_when=only_when,
    )  # fmt: skip


def mounting(timeout_s: int) -> tuple[Param, ...]:
    return (
        Param("parameters/mount/option", "Mount options", _OPTIONS, default="rw", section=_MOUNT, source=_SOURCE),
        Param("parameters/mount/timeout", "Mount timeout", _TIME, default=timeout_s, unit="s", section=_MOUNT,
              advanced=True, source=_SOURCE),
        Param("parameters/mount/retry", "Mount retries", _RETRIES, default=3, section=_MOUNT, advanced=True,
              source=_SOURCE),
        Param("parameters/mount/action", "Check and repair when mounting fails", BOOLEAN, default=True,
              section=_MOUNT, advanced=True, source=_SOURCE),
        Param("parameters/mount/xfsaction", "Repair xfs when mounting fails", BOOLEAN, default=False, section=_MOUNT,
              advanced=True, source=_SOURCE),
    )  # fmt: skip


def unmounting(timeout_s: int) -> tuple[Param, ...]:
    return (
        Param("parameters/umount/timeout", "Unmount timeout", _TIME, default=timeout_s, unit="s", section=_UNMOUNT,
              advanced=True, source=_SOURCE),
        Param("parameters/umount/retry", "Unmount retries", _RETRIES, default=3, section=_UNMOUNT, advanced=True,
              source=_SOURCE),
        Param("parameters/umount/interval", "Interval of unmount retries", seconds(0, 999), default=5, unit="s",
              section=_UNMOUNT, advanced=True, source=_SOURCE),
        Param("parameters/umount/action", "When it is in use",
              choice(("kill", "End the processes that use it"), ("none", "Leave them")), default="kill",
              section=_UNMOUNT, source=_SOURCE),
    )  # fmt: skip


def checking() -> tuple[Param, ...]:
    return (
        Param("parameters/fsck/timing", "Check before mounting",
              choice(("0", "Never"), ("1", "Always"), ("2", "At every n-th mount")), default="2", section=_CHECK,
              source=_SOURCE),
        Param("parameters/fsck/interval", "Mounts between two checks", integer(1, 999), default=10, section=_CHECK,
              only_when=(("parameters/fsck/timing", ("2",)),), advanced=True, source=_SOURCE),
        Param("parameters/fsck/option", "Options of fsck", TEXT, default="-y", section=_CHECK, advanced=True,
              source=_SOURCE),
        Param("parameters/fsck/timeout", "Timeout of fsck", _TIME, default=7200, unit="s", section=_CHECK,
              advanced=True, source=_SOURCE),
        Param("parameters/fsck/fixopt", "Rebuild a reiserfs", BOOLEAN, default=False, section=_CHECK, advanced=True,
              source=_SOURCE),
        Param("parameters/fsck/xfsoption", "Options of xfs_repair", TEXT, default="", section=_CHECK, advanced=True,
              source=_SOURCE),
        Param("parameters/fsck/xfstimeout", "Timeout of xfs_repair", _TIME, default=7200, unit="s", section=_CHECK,
              advanced=True, source=_SOURCE),
    )  # fmt: skip
