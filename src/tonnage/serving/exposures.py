"""The record of every slate shown: what experiments and the next training are fed with."""

from typing import Any

from tonnage.domain import UserId
from tonnage.serving.slates import Slate


def exposure(
    slate: Slate, *, request_id: str, user: UserId | None, header_user: str | None, k: int, ms: float
) -> dict[str, Any]:
    """One slate as one flat record.

    Args:
        slate: what was shown.
        request_id: of the request.
        user: in the body.
        header_user: in `x-user-id`, which the Gateway hashes; without it the track was picked by weight
        alone,
            and the user may meet another one next time.
        k: how many items were asked for.
        ms: time it took.
    """
    return {
        "kind": "exposure",
        "request_id": request_id,
        "user": user,
        "assigned_by": "user" if user is not None and header_user == user else "weight",
        "at": slate.at,
        "k": k,
        "items": [each.item for each in slate.items],
        "scores": [round(each.score, 5) for each in slate.items],
        "sources": [each.sources for each in slate.items],
        "candidates": slate.candidates,
        "cold": slate.cold,
        "fallbacks": list(slate.fallbacks),
        "stages_ms": {name: round(1000 * seconds, 2) for name, seconds in slate.seconds.items()},
        "ms": round(ms, 2),
    }
