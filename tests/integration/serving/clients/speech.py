"""What each program is told on its command line, and how it answers."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Told:
    """Where the services are, and what to ask.

    Attributes:
        ranker: address of its HTTP or gRPC port.
        retriever: the same.
        release: id of what they serve.
        features: what the ranker shall score.
        history: item ids that the retriever shall start from.
    """

    ranker: str
    retriever: str
    release: str
    features: np.ndarray
    history: tuple[str, ...]

    @classmethod
    def read(cls) -> "Told":
        ranker, retriever, release, features, history = sys.argv[1:]
        return cls(ranker, retriever, release, np.load(features), tuple(history.split(",")))


def say(**found: Any) -> None:
    """Print what was found as one JSON object."""
    sys.stdout.write(json.dumps(found, default=lambda value: value.tolist()) + "\n")


def error_of(call: Callable[[], object]) -> str:
    """What a call that must fail says."""
    try:
        call()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return "no error"
