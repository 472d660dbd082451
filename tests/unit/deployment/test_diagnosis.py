"""Why pods are not ready, from what Kubernetes says of them."""

from typing import Any

import pytest

from tonnage.deployment.diagnosis import REVISION, Refusal, Seen, refusal, starts, troubles


def pod(*, container: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = [{"name": "ranker", "ready": False, "restartCount": 3, **container}] if container else []
    return {
        "metadata": {"name": "shop-stable-ranker-1"},
        "spec": {"containers": [{"name": "ranker", "resources": {"limits": {"memory": "768Mi"}}}]},
        "status": {"containerStatuses": containers, **status},
    }


def test_a_ready_pod_is_no_trouble():
    assert troubles([], [pod(container={"ready": True, "state": {"running": {}}})]) == []


def test_an_image_that_cannot_be_pulled_is_told_with_the_registrys_words():
    waiting = {"reason": "ImagePullBackOff", "message": "pull access denied"}
    [found] = troubles([], [pod(container={"state": {"waiting": waiting}})])
    assert str(found) == "pod/shop-stable-ranker-1: ImagePullBackOff: pull access denied"
    assert not found.container, "there is no log of a container that never ran"


def test_running_out_of_memory_names_the_limit():
    """`CrashLoopBackOff` alone sends people to the logs, where an OOM kill leaves no word."""
    crashing = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }
    [found] = troubles([], [pod(container=crashing)])
    assert str(found) == "pod/shop-stable-ranker-1: OOMKilled: it needs more memory than its limit of 768Mi"


def test_a_crash_tells_its_exit_code_and_whose_log_to_read():
    crashing = {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 5}},
    }
    [found] = troubles([], [pod(container=crashing)])
    assert (found.reason, found.says, found.container) == (
        "CrashLoopBackOff",
        "exit code 5, 3 restarts",
        "ranker",
    )


def test_a_pod_that_fits_nowhere_says_what_is_short():
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient memory.",
    }
    [found] = troubles([], [pod(conditions=[unscheduled])])
    assert str(found).endswith("Unschedulable: 0/1 nodes are available: 1 Insufficient memory.")


def test_a_deployment_that_may_not_make_pods_is_told_though_there_is_no_pod():
    """A Pod Security refusal leaves no pod behind, so looking at pods alone finds nothing."""
    refused = {
        "kind": "Deployment",
        "metadata": {"name": "shop-stable-ranker"},
        "status": {
            "conditions": [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": "violates PodSecurity",
                }
            ]
        },
    }
    assert [str(each) for each in troubles([refused], [])] == [
        "deployment/shop-stable-ranker: FailedCreate: violates PodSecurity"
    ]


def test_a_cause_stands_before_its_consequence():
    """A recommender is not ready because a ranker crashes: the ranker is what to read about first."""
    waits = pod(container={"state": {"running": {}}})
    crashes = pod(
        container={"state": {"terminated": {"reason": "Error", "exitCode": 1}}},
    )
    assert [each.reason for each in troubles([], [waits, crashes])] == ["Error", "NotReady"]


@pytest.mark.parametrize("status", [{}, {"containerStatuses": []}])
def test_a_pod_of_which_nothing_is_known_yet_is_no_trouble(status: dict[str, Any]):
    young = {"metadata": {"name": "young"}, "spec": {"containers": []}, "status": status}
    assert troubles([], [young]) == []


def test_a_pod_that_leaves_is_no_trouble():
    """During a roll the old pods go; what they say on the way is not why the new ones fail."""
    leaving = pod(container={"state": {"terminated": {"reason": "Error", "exitCode": 143}}})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert troubles([], [leaving]) == []


SENTENCE = "no index fits into 64 MiB; the smallest limit that would do is 300 MiB"


def refused(restarts: int, *, of: str = "shop-stable-ranker-new", **container: Any) -> dict[str, Any]:
    """A pod of a ReplicaSet whose service ended with a sentence of ours after other lines of log."""
    said = f'{{"event": "planned"}}\ntonnage: {SENTENCE}\n'
    ended = {"terminated": {"reason": "Error", "exitCode": 9, "message": said}}
    crashing = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    found = pod(container={**crashing, "restartCount": restarts, **container})
    found["metadata"]["ownerReferences"] = [{"name": of}]
    return found


def rolling(*pods: dict[str, Any], observed: int = 2) -> Seen:
    """A Deployment at its second revision, whose first is still there."""
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "shop-stable-ranker", "generation": 2, "annotations": {REVISION: "2"}},
        "status": {"observedGeneration": observed},
    }
    sets = [
        {
            "metadata": {
                "name": f"shop-stable-ranker-{age}",
                "annotations": {REVISION: revision},
                "ownerReferences": [{"name": "shop-stable-ranker"}],
            }
        }
        for age, revision in (("old", "1"), ("new", "2"))
    ]
    return Seen(workloads=[deployment], replica_sets=sets, pods=list(pods))


def test_a_service_that_refuses_to_start_is_quoted():
    [found] = troubles([], [refused(1)])
    assert str(found) == f"pod/shop-stable-ranker-1: CrashLoopBackOff: exit code 9, 1 restarts: {SENTENCE}"


def test_one_that_refuses_again_is_not_waited_for():
    assert refusal(rolling(refused(1)), {}) == Refusal(pod="shop-stable-ranker-1", says=SENTENCE)


def test_the_first_refusal_may_be_a_neighbour_that_was_late():
    first = refused(0)["status"]["containerStatuses"][0]["lastState"]
    assert refusal(rolling(refused(0, state=first, lastState={})), {}) is None
    assert refusal(rolling(refused(1, state={"running": {}}, lastState=first)), {}) is None


def test_a_pod_that_refuses_right_now_counts_too():
    ended = refused(1)["status"]["containerStatuses"][0]["lastState"]
    assert refusal(rolling(refused(1, state=ended)), {}) is not None


def test_what_is_to_be_mended_does_not_end_its_own_mending():
    """An upgrade with more memory finds the old pods crashing, and they go on until the new one is ready."""
    assert refusal(rolling(refused(7, of="shop-stable-ranker-old")), {}) is None


def test_a_deployment_whose_new_template_nobody_has_looked_at_yet_is_not_judged():
    assert refusal(rolling(refused(7), observed=1), {}) is None


def test_refusals_from_before_the_roll_do_not_count():
    """The same values a second time: the pods of before are given one more try."""
    seen = rolling(refused(7))
    assert refusal(seen, starts(seen)) is None
    assert refusal(rolling(refused(8, state={"running": {}})), starts(seen)) is None
    assert refusal(rolling(refused(8)), starts(seen)) is not None


def test_a_crash_without_a_sentence_of_ours_may_still_pass():
    crash = {"terminated": {"reason": "Error", "exitCode": 1, "message": "Traceback (most recent call last)"}}
    assert refusal(rolling(refused(5, lastState=crash)), {}) is None
