"""The mind of a mirror disk: which of two disks is the truth, and how the other one becomes the same.

The argument of this package
- Two sides, one data disk each, and a cluster partition (`layout.py`) that holds what must outlive a crash. One side is
  active and takes the writes of the applications; the other one receives them.
- **A write is acknowledged when both sides have it**, or when the active side has made durable that it goes on alone.
- **Alone only with a permit.** A side that loses the other one holds all writes back until the other one has written
  down that it is outdated, or is outside of the view of the cluster: then nobody can activate it unknowingly. Before
  the first write that it has alone is acknowledged, a new generation is on its disk (`past.py`), and with it the word
  that the other side is behind. A permit is for one activation: who was paused and replaced gets none.
- **Activated is only who can know.** A side that was in sync and has run and belonged to the cluster since then without
  a break; one that has itself gone on alone; one that meets the other. Whoever begins anew, or was left out of a view,
  knows nothing: the other one may have gone on.
- **What differs is always known.** Before the first write into an extent is sent anywhere the extent stands in the log
  on disk (`activity.py`). It leaves the log when both disks have flushed what was written there, or when the bits of
  its grains are on disk. So after any crash: differing grains = bits on disk + grains of the logged extents.
- **In sync is said in three steps**: the source writes down that the other side may be equal; then the target, after a
  flush, takes over the generation; then the source counts on it. A crash between any two leaves the careful answer.
- **The epoch of the cluster's view is the fencing token.** A side takes no write of an older epoch than it has written
  down, and an active side that hears of a newer activation stands down: a server that was paused cannot write.
- While a target is being copied to, its disk is no whole state of any time, and says so durably before the first
  block. A repair after a crash (equal generations) mixes two states that differ only in writes whose flush nobody was
  promised, which is again such a state: there the target stays whole.
- **Who lost its power lost what it had not flushed.** Both flush before a bit is cleared; after a crash the side whose
  machine has not stopped since both were equal gives its version of the last writes (`past.py`).

Asynchronous (a `Queue`): what changes, and what does not
- **A write is acknowledged when the own disk has it, a flush when the own disk has flushed.** The other side gets all
  of them in the same order, flushes too: while it is in sync its disk is the state that the active one had after some
  write.
- **How far it is behind is bounded** by number and bytes. Like the original, a mirror whose queue is full breaks,
  rather than let the applications wait: what was not confirmed is marked, the standby writes down that it is no whole
  copy (or that it is outdated), and what differs is copied. While copying, a write without room is only marked.
- **Alone only with a permit**, **known differences** and the **fencing token** hold as they stand above: a write counts
  as on its way until the other side has confirmed it, so its extents stay in the log. Only who serves says so too early
  (`Past.ahead`, on disk before the first write); therefore an active side that is cut off and replaced may go on
  acknowledging until it learns of it, and those writes are lost with it.
- **Who follows may lack the newest writes.** It does so of itself only when the other server has certainly stopped, or
  has said that its disk has failed; while that one is there, both meet first and nothing is lost. It flushes before it
  serves, and it is told (`TookOver`). Who comes back tells what it gives up (`ThrownAway`).
- **Between two such versions of one generation nobody is whole**: no repair, but a copy to a target that knows it. For
  the same reason who lost its power gives all the same: it alone has what was flushed last.
- **A deactivation waits until the other side has everything.**
- A difference that a comparison has found (`Side.repair`) goes the same way, also synchronous: `ahead` on disk, then a
  copy to a target that is no whole copy until it has it.

`agent/sim/mirror.py` plays all of it with disks that lose and tear writes; `tests/agent/sim/test_mirror.py` leaves
rules out and sees that the seeds notice.
"""
