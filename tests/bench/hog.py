"""Burns a CPU for some seconds: `python -I -S hog.py SECONDS [PRIORITY]`; with a priority it does so as SCHED_FIFO."""

import os
import sys
import time


def main() -> None:
    if len(sys.argv) > 2:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(int(sys.argv[2])))
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        for _ in range(100_000):
            pass


if __name__ == "__main__":
    main()
