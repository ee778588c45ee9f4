"""A line with latency, where tc cannot make one: python slow_line.py LISTEN PORT TARGET PORT MILLISECONDS

Passes TCP on, each direction half of the milliseconds late; the connection onwards too. What it cannot delay is the
greeting of TCP itself: a program that makes N round trips over it is late by N - 1 times the milliseconds.
"""
import asyncio
import sys


async def pump(reader, writer, delay):
    """Bytes arrive when they are due, in order; reading goes on meanwhile."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    async def deliver():
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                return writer.write_eof()
            writer.write(data)
            await writer.drain()

    task = asyncio.create_task(deliver())
    data = b"x"
    while data:
        try:
            data = await reader.read(65536)
        except ConnectionError:
            data = b""
        queue.put_nowait((loop.time() + delay, data))
    try:
        await task
    except (ConnectionError, OSError):
        pass


async def main(listen, port, target, target_port, milliseconds):
    delay = int(milliseconds) / 2000

    async def serve(reader, writer):
        await asyncio.sleep(delay)
        far_reader, far_writer = await asyncio.open_connection(target, int(target_port))
        await asyncio.gather(pump(reader, far_writer, delay), pump(far_reader, writer, delay))
        for end in (writer, far_writer):
            end.close()

    async with await asyncio.start_server(serve, listen, int(port)) as server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
