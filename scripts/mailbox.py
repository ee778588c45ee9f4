#!/usr/bin/env python3
"""A real SMTP server (aiosmtpd) that writes each mail it accepts into a folder: mailbox.py PORT FOLDER.

Prints "ready" once it listens. Used by the demo, the tests and the bench; loopback only, and it checks no password.
"""
import asyncio
import os
import sys

from aiosmtpd.controller import UnthreadedController


class Folder:
    def __init__(self, path):
        self.path = path
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = os.path.join(self.path, f"{self.count:04}.eml")
        with open(name + ".part", "wb") as file:
            file.write(b"X-Rcpt-To: " + ", ".join(envelope.rcpt_tos).encode() + b"\r\n")
            file.write(envelope.original_content)
        os.rename(name + ".part", name)
        return "250 taken"


def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    loop = asyncio.new_event_loop()
    controller = UnthreadedController(Folder(folder), hostname="127.0.0.1", port=port, loop=loop)
    controller.begin()
    print("ready", flush=True)
    loop.run_forever()


main()
