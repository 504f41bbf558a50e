"""Tells of each heartbeat that one server sends: `python -I -S beats.py INTERFACE MAC`, a line for each.

Standard library only; runs on the bed's switch, at the server's port. A heartbeat is a VRRP advertisement or a UDP
packet to openclp's port.
"""

import socket
import sys

# At a port of a bridge only those who ask for everything see what the bridge takes.
EVERYTHING = 3
IPV4 = b"\x08\x00"
VRRP, UDP = 112, 17
OPENCLP_PORT = 29002


def is_beat(frame: bytes, mac: bytes) -> bool:
    if frame[6:14] != mac + IPV4:
        return False
    behind = 14 + (frame[14] & 15) * 4
    return frame[23] == VRRP or (
        frame[23] == UDP and int.from_bytes(frame[behind + 2 : behind + 4], "big") == OPENCLP_PORT
    )


def main() -> None:
    mac = bytes.fromhex(sys.argv[2].replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING)) as port:
        port.bind((sys.argv[1], EVERYTHING))
        while True:
            if is_beat(port.recv(128), mac):
                print("beat", flush=True)


if __name__ == "__main__":
    main()
