"""What was judged, told to machines: as the JUnit XML that CI servers show, and as JSON."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together
from tonnage.files import whole_file

ELEMENTS = {
    Outcome.FAIL: "failure",
    Outcome.ERROR: "error",
    Outcome.INCONCLUSIVE: "error",
    Outcome.NOT_JUDGED: "skipped",
}
"""What a test case of that outcome contains; a pass contains nothing."""

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One run that was judged, or one comparison.

    Args:
        name: of the run.
        verdict: on it.
        figures: by name.
        started: when the run began; None for a comparison.
        seconds: its length.
    """

    name: str
    verdict: Verdict
    figures: Mapping[str, float] = field(default_factory=dict)
    started: datetime | None = None
    seconds: float = 0.0


def overall(parts: Sequence[Judged]) -> Verdict:
    """One verdict on everything; with more than one part, each finding says whose it is."""
    if len(parts) == 1:
        return parts[0].verdict
    return together(
        [
            replace(each, check=f"{part.name}: {each.check}")
            for part in parts
            for each in part.verdict.findings
        ]
    )


def as_json(parts: Sequence[Judged]) -> str:
    """Outcome and reasons; then each part with its findings and figures."""
    verdict = overall(parts)
    told = [
        {
            "name": part.name,
            "outcome": part.verdict.outcome,
            "figures": dict(part.figures),
            "findings": [
                {"check": each.check, "outcome": each.outcome, "reason": each.reason}
                for each in part.verdict.findings
            ],
        }
        for part in parts
    ]
    content = {"outcome": verdict.outcome, "reasons": verdict.reasons, "parts": told}
    return json.dumps(content, indent=2, allow_nan=False)


def write_junit(parts: Sequence[Judged], file: Path) -> None:
    """Write a suite for each part and a test case for each finding, whole or not at all."""
    root = ET.Element("testsuites", {"name": "tonnage load gate", **_counted(parts)})
    for part in parts:
        _add_suite(root, part)
    ET.indent(root)
    with whole_file(file) as fresh:
        ET.ElementTree(root).write(fresh, encoding="utf-8", xml_declaration=True)


def _add_suite(root: ET.Element, part: Judged) -> None:
    named = {"name": _xml(part.name), **_counted([part]), "time": f"{part.seconds:.3f}"}
    if part.started:
        named["timestamp"] = part.started.isoformat(timespec="seconds")
    suite = ET.SubElement(root, "testsuite", named)
    properties = ET.SubElement(suite, "properties")
    for name, value in part.figures.items():
        ET.SubElement(properties, "property", {"name": _xml(name), "value": f"{value:.6g}"})
    for each in part.verdict.findings:
        _add_case(suite, part.name, each)


def _add_case(suite: ET.Element, name: str, finding: Finding) -> None:
    named = {"classname": f"load.{_xml(name)}", "name": _xml(finding.check), "time": "0"}
    case = ET.SubElement(suite, "testcase", named)
    reason = _xml(finding.reason)
    if finding.outcome in ELEMENTS:
        ET.SubElement(case, ELEMENTS[finding.outcome], {"message": reason, "type": str(finding.outcome)})
    else:
        ET.SubElement(case, "system-out").text = reason


def _counted(parts: Sequence[Judged]) -> dict[str, str]:
    said = [ELEMENTS.get(each.outcome, "pass") for part in parts for each in part.verdict.findings]
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {"tests": str(len(said)), **{name: str(said.count(what)) for name, what in counts.items()}}


def _xml(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
