"""A server that computes nothing, to find what the load generator can do: `python nothing.py PORT`."""

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Nothing(asyncio.Protocol):
    """Reads each request to its end and answers `{}`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        self.transport, self.expected, self.seen = transport, 0, b""

    def data_received(self, data: bytes) -> None:
        """Count bytes until the body is complete."""
        if not self.expected:
            self.seen += data
            head, found, body = self.seen.partition(b"\r\n\r\n")
            if not found:
                return
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self.expected, data = int(length.split(b":")[1]), body
        self.expected -= len(data)
        if self.expected <= 0:
            self.expected, self.seen = 0, b""
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
