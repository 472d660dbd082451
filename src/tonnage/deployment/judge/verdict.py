"""Four outcomes. What could not be measured is never good."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a check, or all of them, says of a canary."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    NOT_JUDGED = "not judged"

    @property
    def exit_code(self) -> int:
        """0 promote, 1 abort, 2 not known yet, 3 could not be measured."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 2}.get(self, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check says.

    Args:
        check: its name.
        outcome: `not judged` only where a check is optional, or was left out on purpose.
        reason: the figures, what they are compared with, and what would be needed.
        needs: about how many more requests of the canary would decide; None where requests do not help.
    """

    check: str
    outcome: Outcome
    reason: str
    needs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What all checks say together.

    Args:
        outcome: never `not judged`.
        findings: one or more per check, in the checks' order.
    """

    outcome: Outcome
    findings: Sequence[Finding]

    @property
    def needs(self) -> int | None:
        """About how many more requests of the canary would decide; None when that is not known."""
        needs = [each.needs for each in self.findings if each.outcome is Outcome.INCONCLUSIVE]
        return max((each for each in needs if each is not None), default=None)

    @property
    def reasons(self) -> list[str]:
        """Why the outcome is what it is: the findings that made it so, in words."""
        return [f"{each.check}: {each.reason}" for each in self.findings if each.outcome is self.outcome]


WEIGHTIEST = (Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS)


def together(findings: Sequence[Finding]) -> Verdict:
    """One verdict: any fail is a fail, and a pass needs every check that was asked for. Pure."""
    outcomes = {each.outcome for each in findings}
    outcome = next((each for each in WEIGHTIEST if each in outcomes), Outcome.ERROR)
    return Verdict(outcome=outcome, findings=findings)
