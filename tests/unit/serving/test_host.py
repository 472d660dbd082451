"""How the host of a service listens."""

import asyncio
import socket

import uvloop

from tonnage.serving.host import ACCEPTORS, listening_often

BURST = 10 * ACCEPTORS


async def rounds_for_a_burst(sockets, clients):
    """Rounds of the event loop until every client's connection is taken."""
    loop, whole = asyncio.get_running_loop(), asyncio.Event()
    taken, rounds = [], 0

    class Taken(asyncio.Protocol):
        def connection_made(self, transport):
            taken.append(transport)
            if len(taken) == BURST:
                whole.set()

    servers = [await loop.create_server(Taken, sock=each, backlog=10 * BURST) for each in sockets]
    address = sockets[0].getsockname()
    # The kernel completes the handshakes; nobody has looked at the sockets yet.
    clients += [socket.create_connection(address, timeout=10) for _ in range(BURST)]
    while not whole.is_set():
        rounds += 1
        await asyncio.sleep(0)
    for each in [*taken, *servers]:
        each.close()
    await asyncio.gather(*(server.wait_closed() for server in servers))
    return rounds


def test_a_burst_of_connections_is_taken_within_a_few_rounds():
    """A round is a computation of 10 ms: one connection in each made the three-hundredth wait for seconds."""
    clients = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        sockets = listening_often([listening])
        try:
            rounds = uvloop.run(asyncio.wait_for(rounds_for_a_burst(sockets, clients), 30))
        finally:
            for each in [*clients, *sockets]:
                each.close()
    assert rounds < BURST / 4
