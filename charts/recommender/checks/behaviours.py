"""What `helm test` asks a running recommender: one behaviour a pod.

The chart hands this text to `python -c` in the recommender's own image, with a behaviour's name, the URL of a
track and an argument; so there is nothing here but the standard library and what that image has.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

WAIT_S = 10


def ask(url: str, body: Mapping[str, object] | None = None, *, user: str = "") -> tuple[int, str]:
    """Send a request; return the status and the body, also of a refusal."""
    headers = {"content-type": "application/json"} | ({"x-user-id": user} if user else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - the chart names the URL
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def slate(url: str, user: str, k: int = 10) -> dict[str, object]:
    """The slate of a user; ends the check when it is not a whole one."""
    status, text = ask(f"{url}/v1/recommendations", {"user_id": user, "k": k}, user=user)
    demand(status == 200, f"status {status}: {text[:500]}")
    answer: dict[str, object] = json.loads(text)
    items = [item["item_id"] for item in answer["items"]]  # type: ignore[attr-defined]
    demand(len(items) == k, f"{len(items)} items instead of {k}: {text[:500]}")
    demand(len(set(items)) == k, f"an item stands twice: {items}")
    return answer


def demand(holds: bool, otherwise: str) -> None:
    """End the check, with the reason, unless the condition holds."""
    if not holds:
        sys.exit(otherwise)


def a_known_user_gets_a_slate_without_a_fallback(url: str, user: str) -> None:
    """The online store knows the user, and every part of the pipeline answers."""
    answer = slate(url, user)
    demand(not answer.get("fallback"), f"fallback {answer.get('fallback')}")


def a_cold_user_gets_a_slate_without_a_fallback(url: str, _argument: str) -> None:
    """Somebody never seen is a cold start, not an error."""
    answer = slate(url, "helm-test-nobody")
    demand(not answer.get("fallback"), f"fallback {answer.get('fallback')}")


def an_item_has_similar_items(url: str, _argument: str) -> None:
    """An item that is recommended has neighbours, itself not among them."""
    first = slate(url, "helm-test-nobody")["items"][0]["item_id"]  # type: ignore[index]
    status, text = ask(f"{url}/v1/similar-items", {"item_id": first, "k": 5})
    demand(status == 200, f"status {status}: {text[:500]}")
    others = [item["item_id"] for item in json.loads(text)["items"]]
    demand(0 < len(others) <= 5, f"{len(others)} items instead of 1 to 5")
    demand(first not in others, f"{first} is called similar to itself")


def a_track_serves_its_own_release(url: str, release: str) -> None:
    """The track is ready, and what it says it serves is what the chart put there."""
    status, text = ask(f"{url}/readyz")
    demand(status == 200, f"not ready, status {status}: {text[:500]}")
    status, text = ask(f"{url}/v1/release")
    demand(status == 200, f"status {status}: {text[:500]}")
    demand(release in text, f"another release than {release}: {text[:500]}")


def a_wrong_request_gets_a_problem_document(url: str, _argument: str) -> None:
    """A mistake of the caller is told as one."""
    status, text = ask(f"{url}/v1/recommendations", {"user_id": "helm-test-nobody", "k": -1})
    demand(status in {400, 422}, f"status {status}: {text[:500]}")
    demand({"title", "status"} <= json.loads(text).keys(), f"no problem document: {text[:500]}")


def requests_are_counted(url: str, release: str) -> None:
    """Prometheus finds this release's requests."""
    slate(url, "helm-test-nobody")
    status, text = ask(f"{url}/metrics")
    demand(status == 200, f"status {status}: {text[:500]}")
    counted = [line for line in text.splitlines() if line.startswith("tonnage_") and release in line]
    demand(bool(counted), f"no sample of release {release} among {len(text)} bytes of metrics")


def both_models_are_ready_over_grpc(addresses: str, release: str) -> None:
    """Retriever and ranker, `name=host:port,...`, say over gRPC that they serve this release."""
    import grpc

    for name, _, address in (each.partition("=") for each in addresses.split(",")):
        with grpc.insecure_channel(address) as channel:
            ask_ready = channel.unary_unary("/inference.GRPCInferenceService/ModelReady")
            try:
                answer = ask_ready(_text(1, name) + _text(2, release), timeout=WAIT_S, wait_for_ready=True)
            except grpc.RpcError as error:
                sys.exit(f"{name} at {address}: {error}")
        # Field 1, a boolean, true.
        demand(answer == b"\x08\x01", f"{name} at {address} is not ready: {answer!r}")


def _text(field: int, value: str) -> bytes:
    """A string field of a protocol buffer, shorter than 128 bytes: no generated code is at hand here."""
    return bytes([field << 3 | 2, len(value)]) + value.encode()


if __name__ == "__main__":
    behaviour, target, *argument = sys.argv[1:]
    globals()[behaviour](target, *(argument or [""]))
    print(behaviour.replace("_", " "))  # noqa: T201 - the log of the pod is where it is read
