"""A mirror disk whose engine is DRBD: a process that speaks the control socket of agent/mirrord and drives the kernel.

The argument of this package
- The data way is DRBD's alone (protocol C, in the kernel). What may be active, and who may go on without the other one,
  is the cluster's alone: the same orders, permits and answers as agent/mirror has, so that daemon, commands and console
  need nothing new.
- **A write is acknowledged when both sides have it**, or when the other side is known to be behind: `fencing
  resource-and-stonith` freezes I/O when the connection is lost, and the kernel asks its handler (`handler.py`). The
  handler waits until the cluster has said that the other side has written down that it is outdated, or has certainly
  stopped (`Engine._answer_fences`). A handler that gets no word gives none: I/O stays frozen.
- **Only an order promotes.** Nothing starts by itself: who begins is secondary. Without the other side only that disk
  is promoted of which DRBD itself knows that the other one is behind, or which was seen equal by this process, while
  its server has belonged to every view since (`mind.doubt`).
- The kernel serves on while this process is dead, and freezes when the connection is lost then. What the next process
  has to know is in a small file of the run directory (`memory.py`): it holds for one boot.
- Two sides that have both gone on are never joined by themselves (`after-sb-*pri disconnect`): an operator chooses, and
  the one that gives its data up connects with --discard-my-data.
"""
