"""A filesystem that hangs, in a mount namespace of its own: fuse.py PLACE answer|hold

Speaks just enough of the kernel's FUSE protocol to be mounted and looked at. With "answer" it tells its space; stopped
(SIGSTOP) it is a dead server whose questions wait unread. With "hold" it reads each question after its space and never
answers, which is what makes the asking task unkillable. Prints "ready" once it is mounted.
"""

import ctypes
import os
import struct
import sys

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 0x40000
LOOKUP, FORGET, GETATTR, STATFS, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT = 1, 2, 3, 17, 26, 27, 28, 29, 36
ENOENT, ENOSYS = 2, 38


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def main(place, mode):
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make private")
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    check(libc.mount(b"dead:/export", place.encode(), b"fuse.dead", 0, options), "mount")

    told = False
    while True:
        request = os.read(device, 1 << 20)
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        error, body = 0, b""
        if opcode == INIT:
            body = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0)
        elif opcode == GETATTR:
            attr = struct.pack("<QQQQQQIIIIIIIIII", node, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
            body = struct.pack("<QII", 0, 0, 0) + attr
        elif opcode == STATFS:
            if mode == "hold":
                continue
            # A thousand blocks of 4096 bytes, 250 of them free.
            body = struct.pack("<QQQQQIIII24x", 1000, 250, 250, 10, 5, 4096, 255, 4096, 0)
        elif opcode in (FORGET, INTERRUPT):
            continue
        else:
            error = -(ENOENT if opcode == LOOKUP else ENOSYS)
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
        if not told:
            told = True
            print("ready", flush=True)


main(*sys.argv[1:])
