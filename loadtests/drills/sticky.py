"""Two thousand users at rising weights: who meets the canary, and who changes sides."""

import http.client
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from drills.scene import Scene
from measures import Measure, at_most

USERS = 2_000
WEIGHTS = (10, 25, 50)
POINTS = 2.0
AT_ONCE = 8
TRACK = "x-tonnage-track"


def measure(scene: Scene) -> list[Measure]:
    """The canary's share of the users beside its weight, and that nobody goes to and fro."""
    users = [f"user-{number}" for number in range(USERS)]
    measures, before = [], set[str]()
    for weight in WEIGHTS:
        if weight == WEIGHTS[0]:
            scene.canary("start", str(scene.releases.second), "--weight", str(weight))
        else:
            scene.canary("step", str(weight))
        with scene.progress.stage(f"{USERS:,} users at {weight} %"):
            first, again = (tracks_of(scene, users) for _ in range(2))
        canary = {user for user, track in first.items() if track == "canary"}
        changed = sum(first[user] != again[user] for user in users)
        off = abs(100 * len(canary) / USERS - weight)
        measures += [
            at_most(f"share of {USERS:,} users at a weight of {weight} %, off by", POINTS, off, "points"),
            at_most(f"users who change track while the weight stays at {weight} %", 0, changed),
            at_most(f"users who leave the canary as its weight rises to {weight} %", 0, len(before - canary)),
        ]
        before = canary
    scene.canary("abort")
    return measures


def tracks_of(scene: Scene, users: Sequence[str]) -> Mapping[str, str]:
    """The track that answers each user."""
    host, port = scene.shop.address
    parts = [users[start::AT_ONCE] for start in range(AT_ONCE)]

    def ask(part: Sequence[str]) -> dict[str, str]:
        connection = http.client.HTTPConnection(host, port, timeout=30)
        found = {}
        for user in part:
            connection.request("GET", "/v1/release", headers={"host": scene.shop.host, "x-user-id": user})
            answer = connection.getresponse()
            answer.read()
            found[user] = answer.headers.get(TRACK, "") if answer.status == 200 else f"status {answer.status}"
        connection.close()
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {user: track for found in pool.map(ask, parts) for user, track in found.items()}
