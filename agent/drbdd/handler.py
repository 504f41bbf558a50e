"""Called by DRBD's kernel module through drbdadm: `handler.py CONTROL fence|parted`. Standard library only.

fence: the connection to the other side is lost, and I/O is frozen until this program ends. It waits for the cluster's
word, as long as that takes, and over a restart of the mirror process: 7 says that the other side may not run, so that
I/O goes on; anything else leaves it frozen.
parted: both sides have gone on without the other one; the mirror process is told.
"""

import json
import os
import socket
import sys
import time

_AGAIN_S, _ANSWER_S = 0.5, 30.0
NO_WORD, OTHER_IS_OUT = 1, 7
_MESSAGE_BYTES = 1 << 18


def ask(path: str, order: dict[str, str]) -> int:
    """What the mirror process answers. OSError: it does not live, or has ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
        end.settimeout(_ANSWER_S)
        end.connect(path)
        end.send(json.dumps(order).encode())
        while data := end.recv(_MESSAGE_BYTES):
            said = json.loads(data)
            if isinstance(said, dict) and said.get("id") == order["id"]:
                code = said.get("code")
                return code if type(code) is int else NO_WORD
    raise ConnectionResetError


def main(argv: list[str]) -> int:
    if len(argv) != 3 or argv[2] not in ("fence", "parted"):
        sys.stderr.write("usage: handler.py CONTROL fence|parted\n")
        return NO_WORD
    path, what = argv[1:]
    key = f"{what}-{os.getpid()}-{time.monotonic_ns()}"
    while True:
        try:
            return ask(path, {"op": what, "id": key})
        except (OSError, ValueError) as error:
            if what == "parted":
                return 0  # The kernel finds it again with the next connection, and waits for us until then.
            if not isinstance(error, TimeoutError):  # Nobody has said anything: asked again at once.
                time.sleep(_AGAIN_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
