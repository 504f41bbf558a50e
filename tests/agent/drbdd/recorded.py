"""What DRBD 8.4.11 said on two real computers, word for word."""

from __future__ import annotations

ALONE = """\
md1 role:Primary suspended:no
    write-ordering:flush
  volume:0 minor:1 disk:UpToDate
      size:131072 read:0 written:8 al-writes:9 bm-writes:0 upper-pending:0
      lower-pending:0 al-suspended:no blocked:no
  peer connection:Connecting role:Unknown congested:no
    volume:0 replication:Off peer-disk:Outdated resync-suspended:no
        received:0 sent:8 out-of-sync:8 pending:0 unacked:0

"""
MIRRORED = """\
md1 role:Primary suspended:no
    write-ordering:flush
  volume:0 minor:1 disk:UpToDate
      size:131072 read:0 written:0 al-writes:8 bm-writes:0 upper-pending:0
      lower-pending:0 al-suspended:no blocked:no
  peer connection:Connected role:Secondary congested:no
    volume:0 replication:Established peer-disk:UpToDate resync-suspended:no
        received:0 sent:0 out-of-sync:0 pending:0 unacked:0

"""
FOLLOWING = """\
md1 role:Secondary suspended:no
    write-ordering:flush
  volume:0 minor:1 disk:UpToDate
      size:131072 read:0 written:16 al-writes:8 bm-writes:0 upper-pending:0
      lower-pending:0 al-suspended:no blocked:no
  peer connection:Connected role:Primary congested:no
    volume:0 replication:Established peer-disk:UpToDate resync-suspended:no
        received:16 sent:0 out-of-sync:0 pending:0 unacked:0

"""
FROZEN = """\
md1 role:Primary suspended:fencing
    write-ordering:flush
  volume:0 minor:1 disk:UpToDate
      size:131072 read:0 written:8 al-writes:9 bm-writes:0 upper-pending:2
      lower-pending:0 al-suspended:no blocked:upper
  peer connection:Connecting role:Unknown congested:no
    volume:0 replication:Off peer-disk:DUnknown resync-suspended:no
        received:0 sent:8 out-of-sync:0 pending:2 unacked:0

"""
FROZEN_DISKLESS = FROZEN.replace("disk:UpToDate", "disk:Diskless", 1)
OUTDATED = """\
md1 role:Secondary suspended:no
    write-ordering:flush
  volume:0 minor:1 disk:Outdated
      size:131072 read:0 written:8 al-writes:8 bm-writes:0 upper-pending:0
      lower-pending:0 al-suspended:no blocked:no
  peer connection:Connecting role:Unknown congested:no
    volume:0 replication:Off peer-disk:DUnknown resync-suspended:no
        received:8 sent:0 out-of-sync:0 pending:0 unacked:0

"""
STAND_ALONE = """\
md1 role:Primary suspended:no
    write-ordering:flush
  volume:0 minor:1 disk:UpToDate
      size:131072 read:0 written:24 al-writes:9 bm-writes:0 upper-pending:0
      lower-pending:0 al-suspended:no blocked:no

"""
AFTER_RESTART = """\
md1 role:Secondary suspended:no
    write-ordering:flush
  volume:0 minor:1 disk:Consistent
      size:131072 read:0 written:0 al-writes:0 bm-writes:0 upper-pending:0
      lower-pending:0 al-suspended:no blocked:no
  peer connection:Connecting role:Unknown congested:no
    volume:0 replication:Off peer-disk:DUnknown resync-suspended:no
        received:0 sent:0 out-of-sync:8192 pending:0 unacked:0

"""
PROC = """\
version: 8.4.11 (api:1/proto:86-101)
srcversion: 059B1B470318F053F5077D5

 1: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C s-----
    ns:8 nr:0 dw:8 dr:0 al:9 bm:0 lo:0 pe:2 ua:0 ap:2 ep:1 wo:f oos:0
"""
GI_ALONE = "835925846F280C01:117E99D8EAB8898F:0000000000000000:0000000000000000:1:1:1:0:0:1:0\n"
GI_EQUAL = "835925846F280C00:0000000000000000:117F99D8EAB8898E:117E99D8EAB8898F:1:1:0:1:0:0:0\n"
GI_OUTDATED = "117E99D8EAB8898E:0000000000000000:0000000000000000:0000000000000000:1:0:0:0:0:0:0\n"
NO_CONNECTION = """\
??: Failure: (162) Invalid configuration request
additional info from kernel:
unknown connection
Command 'drbdsetup-84 disconnect ipv4:10.29.78.1:7790 ipv4:10.29.78.2:7790' terminated with exit code 10
"""
