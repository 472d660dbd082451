"""The protocol as clients understand it that nobody here wrote.

Each runs in a process of its own: two of them register the same protobuf names and do not import together.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost
from tests.integration.serving.conftest import KNOWN_ITEMS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def features(models, tmp_path_factory):
    """A matrix for the ranker with missing values; also as a file."""
    width = len(models.release.manifest.features.all)
    matrix = np.random.default_rng(11).normal(size=(25, width)).astype(np.float32)
    file = tmp_path_factory.mktemp("clients") / "features.npy"
    np.save(file, matrix)
    return file, matrix


@pytest.fixture(scope="module")
def expected(models, features):
    """What XGBoost alone says."""
    booster = xgboost.Booster(model_file=models.release.ranker_path)
    return booster.predict(xgboost.DMatrix(features[1]), output_margin=True, validate_features=False)


def run(program, models, features, *addresses):
    told = [*addresses, models.release.id, str(features[0]), ",".join(KNOWN_ITEMS)]
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.integration.serving.clients.{program}", *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


def assert_scores(found, expected):
    for way, scores in found["scores"].items():
        np.testing.assert_allclose(scores, expected, atol=1e-5, err_msg=way)


def assert_nearest(found):
    assert (found["id"], found["order"]) == ("mine", ["item_ids", "scores"])
    assert len(set(found["items"])) == 7
    assert found["scores"] == sorted(found["scores"], reverse=True)


def assert_answers(found, models, expected):
    assert "binary_tensor_data" in found["server"]["extensions"]
    assert found["model"]["versions"] == [models.release.id]
    assert_scores(found, expected)
    assert_nearest(found["nearest"])


def assert_tells(errors, **expected):
    for case, (status, says) in expected.items():
        found = errors[case.replace("_", " ")]
        assert status in found, (case, found)
        assert says in found, (case, found)


def test_triton_http(models, features, expected):
    found = run("triton_http", models, features, models.ranker.address, models.retriever.address)
    assert found["live"]
    assert found["ready"]
    assert found["ready_version"]
    assert not found["other_ready"]
    assert_answers(found, models, expected)
    assert_tells(
        found["errors"],
        datatype=("[400]", "wrong datatype"),
        unknown_input=("[400]", "no such input: flag"),
        unknown_output=("[400]", "no such output: other"),
        unknown_model=("[404]", "there is no /v2/models/other"),
        unknown_version=("[404]", "no version 9"),
        classification=("[400]", "classification"),
        repository=("[404]", "there is no /v2/repository/index"),
        release=("[409]", "r-other"),
    )


def test_triton_grpc(models, features, expected):
    found = run("triton_grpc", models, features, models.ranker.grpc_address, models.retriever.grpc_address)
    assert found["live"]
    assert found["ready"]
    assert_answers(found, models, expected)
    assert_tells(
        found["errors"],
        datatype=("INVALID_ARGUMENT", "wrong datatype"),
        unknown_output=("INVALID_ARGUMENT", "no such output: other"),
        unknown_model=("NOT_FOUND", "no model other"),
        unknown_version=("NOT_FOUND", "no version 9"),
        classification=("INVALID_ARGUMENT", "classification"),
        repository=("UNIMPLEMENTED", ""),
        release=("FAILED_PRECONDITION", "r-other"),
        deadline=("DEADLINE_EXCEEDED", "deadline"),
    )


def test_kserve(models, features, expected):
    addresses = [models.ranker.service.url, models.retriever.service.url]
    addresses += [models.ranker.grpc_address, models.retriever.grpc_address]
    found = run("kserve_both", models, features, *addresses)
    assert found["live"]
    assert found["ready"]
    assert_scores(found, expected)
    assert len(found["items"]["rest"]) == 7
    assert found["items"]["rest"] == found["items"]["grpc"]
    assert_tells(found["errors"], rest=("400", "wrong shape"), grpc=("INVALID_ARGUMENT", "wrong shape"))
