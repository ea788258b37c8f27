"""A TCP proxy on loopback that adds a round trip's time: what fetching is like from a server far away.

`python -m bench.delay --to 11110 --rtt-ms 80` prints the port that it listens on.
"""

from __future__ import annotations

import argparse
import asyncio


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Copy bytes, each piece written `delay` seconds after it was read; pieces stay in order and travel together."""
    loop = asyncio.get_running_loop()
    travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, piece = await travelling.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    piece = b"-"
    while piece:
        try:
            piece = await reader.read(1 << 16)
        except ConnectionError:
            piece = b""
        travelling.put_nowait((loop.time() + delay, piece))
    await asyncio.gather(arriving, return_exceptions=True)


async def _serve(port: int, delay: float) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, far_writer, delay), _pump(far_reader, writer, delay))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--rtt-ms", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.to, options.rtt_ms / 2000))
