"""What machines are told: as many cases as findings, each as what it is."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tonnage.deployment.judge.verdict import Finding, Outcome, together
from tonnage.load.junit import Judged, as_json, overall, write_junit

FINDINGS = st.builds(
    Finding, check=st.text(max_size=10), outcome=st.sampled_from(Outcome), reason=st.text(max_size=30)
)
PARTS = st.lists(
    st.builds(
        lambda name, findings: Judged(name=name, verdict=together(findings), figures={"p99_ms": 1.5}),
        st.text(max_size=10),
        st.lists(FINDINGS, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARTS)
def test_any_finding_can_be_read_again_by_a_ci_server(tmp_path: Path, parts: list[Judged]) -> None:
    """A reason may quote anything that a server answered, also what XML has no way to write."""
    write_junit(parts, tmp_path / "gate.xml")
    root = ET.parse(tmp_path / "gate.xml").getroot()  # noqa: S314 - it was written here
    findings = [each for part in parts for each in part.verdict.findings]
    cases = root.findall(".//testcase")
    assert len(cases) == len(findings) == int(root.get("tests", ""))
    for case, finding in zip(cases, findings, strict=True):
        failed = [each.tag for each in case if each.tag in {"failure", "error", "skipped"}]
        expected = {
            Outcome.PASS: [],
            Outcome.FAIL: ["failure"],
            Outcome.NOT_JUDGED: ["skipped"],
        }
        assert failed == expected.get(finding.outcome, ["error"])
    assert int(root.get("failures", "")) == len(root.findall(".//failure"))
    told = json.loads(as_json(parts))
    assert told["outcome"] == overall(parts).outcome
    assert [len(part["findings"]) for part in told["parts"]] == [len(part.verdict.findings) for part in parts]


def test_with_several_parts_a_reason_says_whose_it_is() -> None:
    good = Finding(check="p99", outcome=Outcome.PASS, reason="fast")
    bad = Finding(check="p99", outcome=Outcome.FAIL, reason="slow")
    parts = [
        Judged(name="morning", verdict=together([good])),
        Judged(name="evening", verdict=together([bad])),
    ]
    assert overall(parts).reasons == ["evening: p99: slow"]
    assert overall(parts[1:]).reasons == ["p99: slow"]
