"""One command on many hosts by asyncssh: with_asyncssh.py PORT USER KEY KNOWN_HOSTS JOBS COMMAND HOST..."""
import asyncio
import sys

import asyncssh

port, user, key, known, jobs, command, *hosts = sys.argv[1:]
keys = [asyncssh.read_private_key(key)]
known = asyncssh.read_known_hosts(known)


async def one(host, room):
    async with room, asyncssh.connect(
        host, int(port), username=user, client_keys=keys, known_hosts=known, agent_path=None, config=None
    ) as line:
        sys.stdout.write((await line.run(command, check=True)).stdout)


async def main():
    room = asyncio.Semaphore(int(jobs))
    await asyncio.gather(*(one(host, room) for host in hosts))


asyncio.run(main())
