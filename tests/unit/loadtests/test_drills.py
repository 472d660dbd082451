"""Faults that are made on purpose are made, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost

from drills.chance import CONFIG, FAULTS
from drills.faults import FAULTS as ON_CLUSTER
from drills.faults import HOOK, Fault
from drills.turned import turned

SPOILED = [each for each in ON_CLUSTER if each.code]


def test_a_ranker_turned_round_puts_the_worst_first():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, 4)).astype(np.float32)
    data = xgboost.DMatrix(rows, label=rows @ [1.0, -2.0, 0.5, 0.0])
    booster = xgboost.train({"max_depth": 3, "nthread": 1, "base_score": 0.25}, data, 12)
    other = xgboost.Booster()
    other.load_model(bytearray(turned(bytes(booster.save_raw("ubj")))))
    straight, reversed_ = booster.predict(data), other.predict(data)
    np.testing.assert_allclose(straight - 0.25, -(reversed_ - 0.25), atol=1e-5)


@pytest.mark.parametrize("fault", SPOILED, ids=[each.name for each in SPOILED])
def test_python_spoils_the_recommender_as_it_starts(fault: Fault, tmp_path: Path):
    """Or a drill would find that a canary without a fault was let through."""
    (tmp_path / "sitecustomize.py").write_text(HOOK + fault.code, encoding="utf-8")
    asked = "from tonnage.serving.recommender import Recommender as R; print(R.recommend.__module__)"
    said = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.strip() == "sitecustomize"


def test_every_fault_of_the_simulation_leaves_time_for_what_is_not_simulated():
    assert all(fault.within_s - fault.spent_s >= 4 * CONFIG.window_s for fault in FAULTS)
