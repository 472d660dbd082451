"""A gate that Flagger's webhooks can ask: an HTTP status is the verdict.

https://docs.flagger.app/usage/webhooks: any 2xx lets a `confirm-promotion` or a `rollback` happen, anything
else does not; the body goes to Flagger's log and events.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tonnage.deployment.judge.verdict import Outcome, Verdict

PROMOTION, ROLLBACK, ALIVE = "/confirm-promotion", "/rollback", "/livez"
OPENS = {PROMOTION: Outcome.PASS, ROLLBACK: Outcome.FAIL}
"""The outcome that lets each hook happen."""

LARGEST_BODY = 64 * 1024


def as_json(verdict: Verdict) -> str:
    """A verdict for a machine: outcome, needs, reasons, findings."""
    content = {
        "outcome": verdict.outcome,
        "needs": verdict.needs,
        "reasons": verdict.reasons,
        "findings": [asdict(each) for each in verdict.findings],
    }
    return json.dumps(content, indent=2)


def serve(address: tuple[str, int], look: Callable[[], Verdict]) -> ThreadingHTTPServer:
    """A server that judges at every POST; call its `serve_forever`.

    Args:
        address: host and port; port 0 takes a free one.
        look: takes a look at the canary.
    """

    class Gate(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            status = HTTPStatus.OK if self.path == ALIVE else HTTPStatus.NOT_FOUND
            self._answer(status, f"{status.phrase}\n")

        def do_POST(self) -> None:
            # Which canary is judged was said when the gate was started; the body is read to keep HTTP in
            # step.
            self.rfile.read(min(int(self.headers.get("content-length") or 0), LARGEST_BODY))
            if self.path not in OPENS:
                self._answer(HTTPStatus.NOT_FOUND, f"ask {' or '.join(OPENS)}\n")
                return
            verdict = look()
            opens = verdict.outcome is OPENS[self.path]
            self._answer(HTTPStatus.OK if opens else HTTPStatus.FORBIDDEN, as_json(verdict))

        def _answer(self, status: HTTPStatus, says: str) -> None:
            body = says.encode()
            self.send_response(status)
            self.send_header("content-type", "application/json" if says.startswith("{") else "text/plain")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(address, Gate)
