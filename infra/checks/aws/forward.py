"""Forwards what arrives at one port to any port of this machine, so that one tunnel leads to many receivers.

    forward.py PORT SECRET

A request to /SECRET/9000/path goes to 127.0.0.1:9000 as /path, and otherwise byte for byte. SECRET keeps strangers out, to whom the tunnel
is open too. Each connection carries one request, because the next may be for another receiver.
"""

import asyncio
import re
import sys

# The tests' receivers get ports from here on. What else listens on this machine mostly has lower ones.
PORTS_FROM = 32768
PORT, SECRET = int(sys.argv[1]), sys.argv[2]
REQUEST = re.compile(rb"([A-Z]+) /" + SECRET.encode() + rb"/(\d+)(/\S*) (HTTP/1\.1\r\n)")


async def copy(source, sink):
    while chunk := await source.read(1 << 16):
        sink.write(chunk)
        await sink.drain()


async def forward(reader, writer):
    receiver = None
    try:
        request = REQUEST.fullmatch(await reader.readline())
        if not request:
            return
        method, port, path, version = request.groups()
        if int(port) < PORTS_FROM:
            return
        answer, receiver = await asyncio.open_connection("127.0.0.1", int(port))
        receiver.write(b" ".join([method, path, version]))
        rest = asyncio.create_task(copy(reader, receiver))
        # With this header, the sender closes the connection after the answer.
        first = await answer.read(1 << 16)
        writer.write(first.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        await asyncio.wait([rest, asyncio.create_task(copy(answer, writer))], return_when=asyncio.FIRST_COMPLETED)
    except (OSError, ValueError):
        pass # one of the two has closed the connection
    finally:
        for end in [writer, receiver]:
            if end:
                end.close()


async def main():
    server = await asyncio.start_server(forward, "127.0.0.1", PORT)
    await server.serve_forever()


asyncio.run(main())
