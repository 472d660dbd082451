"""Deciding, once per pod and before any worker starts, which index is served."""

import structlog

from tonnage.index import VARIANTS
from tonnage.releases.release import GRAM, ITEM_LOOKUP, ITEMS, Release
from tonnage.serving.environment import Environment
from tonnage.serving.lifecycle import open_servable
from tonnage.serving.memory.cgroup import memory_limit
from tonnage.serving.memory.plan import Plan, plan
from tonnage.serving.memory.terms import terms_of


def prepare(environment: Environment) -> tuple[Release, Plan]:
    """Plan, and prove the files that the plan needs.

    Raises:
        MemoryLimitError: no index fits.
        TonnageError: the release cannot be served, see `open_servable`.
    """
    unproven = open_servable(environment, verify=False)
    decided = decide(unproven, environment)
    release = open_servable(environment, only=files_of(decided, unproven))
    structlog.get_logger().info("memory plan", **decided.as_json())
    return release, decided


def decide(release: Release, environment: Environment) -> Plan:
    """The plan of this pod, with what this process holds by now as the processes' part.

    Raises:
        MemoryLimitError: no index fits.
    """
    limit = environment.memory_limit or memory_limit()
    return plan_for(release, environment, limit=limit, measured=True)


def plan_for(release: Release, environment: Environment, *, limit: int | None, measured: bool) -> Plan:
    """The plan of a pod that serves a release.

    Args:
        release: its manifest is enough; no file is read.
        environment: workers, hot swap, and the variant that is asked for.
        limit: bytes; None for none.
        measured: whether this process is the pod's own.

    Raises:
        MemoryLimitError: no index fits.
    """
    return plan(
        limit=limit,
        terms=terms_of(release, environment, measured=measured),
        variants=sorted(release.manifest.index, key=lambda each: VARIANTS.index(each.name)),
        floor=release.manifest.retrieval.recall_floor,
        hot_swap=environment.hot_swap,
        only=environment.index,
    )


def files_of(decided: Plan, release: Release) -> list[str]:
    """What a retriever reads of a release."""
    return [ITEMS, ITEM_LOOKUP, GRAM, *release.variant(decided.chosen.name).files]
