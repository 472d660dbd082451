"""The models of a release behind KServe, asked by clients that nobody here wrote."""

import asyncio
import json
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.kserve.conftest import GRAPHS, NAMESPACE, WIDTH, Fleet
from tests.e2e.recommender.retriever import Retriever

from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.telemetry import Spoken

GRPC_CLIENT = Path(__file__).parents[1] / "recommender" / "grpc_client.py"
VECTOR = np.linspace(-1, 1, WIDTH, dtype=np.float32)
K = 10
USERS = 200
LIMIT_BYTES = 768 * 2**20
"""Of the retriever's container, as its manifest says."""


def ask(address: str) -> list[int]:
    """The nearest items, from a retriever's Service."""
    return Retriever(address=address).nearest(VECTOR.tolist(), K)


def through_the_gateway(fleet: Fleet, host: str, path: str, *, user: str = "", body: object = None) -> Any:
    """The headers and the JSON body of an answer that came through the Gateway."""
    headers = {"host": host, "content-type": "application/json", "x-user-id": user}
    data = None if body is None else json.dumps(body).encode()
    url = f"{fleet.cluster.gateway_url}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:  # noqa: S310
        return answer.headers, json.load(answer)


def question() -> dict[str, object]:
    return {
        "inputs": [
            {"name": "user_vector", "datatype": "FP32", "shape": [WIDTH], "data": VECTOR.tolist()},
            {"name": "k", "datatype": "INT32", "shape": [1], "data": [K]},
        ]
    }


def test_kserve_is_added_once_and_seen_in_the_status(fleet: Fleet, cluster_config: EmbeddedConfig):
    """Added again to a cluster that runs, it must leave every pod as it is."""
    before = pods(fleet)
    assert embedded.status(cluster_config).extras == {"kserve": "available"}
    embedded.up(cluster_config, progress=Spoken(), extras=[embedded.Extra.KSERVE])
    assert pods(fleet) == before


def pods(fleet: Fleet) -> set[str]:
    """Identities of the pods of KServe and of what it runs."""
    found: list[Any] = []
    for namespace in ("kserve", NAMESPACE, GRAPHS):
        listed: Any = fleet.cluster.get("pods", "--namespace", namespace)
        found += listed["items"]
    return {pod["metadata"]["uid"] for pod in found}


def test_tritons_client_gets_the_releases_answer_over_http(fleet: Fleet):
    with triton.InferenceServerClient(fleet.address("retriever-predictor")) as client:
        assert client.is_server_live()
        assert client.is_model_ready("retriever")
        assert client.get_model_metadata("retriever")["versions"] == [fleet.stable]
        vector = triton.InferInput("user_vector", [WIDTH], "FP32")
        vector.set_data_from_numpy(VECTOR)
        k = triton.InferInput("k", [1], "INT32")
        k.set_data_from_numpy(np.array([K], np.int32))
        answer = client.infer("retriever", [vector, k])
    assert answer.get_response()["model_version"] == fleet.stable
    assert answer.as_numpy("rows").tolist() == ask(fleet.address("retriever-predictor"))


def test_tritons_client_gets_the_same_answer_over_grpc(fleet: Fleet):
    address = fleet.address("retriever-predictor")
    command = [sys.executable, str(GRPC_CLIENT), f"{address}:3001", str(WIDTH), str(K)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["live"], said["ready"], said["version"]) == (True, True, fleet.stable)
    assert said["rows"] == ask(address)


def test_kserves_own_client_gets_the_same_answer_through_the_url(fleet: Fleet):
    headers = {"Host": fleet.host("retriever"), "content-type": "application/json"}
    url = str(fleet.cluster.gateway_url)

    async def infer() -> tuple[bool, Any]:
        vector, k = InferInput("user_vector", [WIDTH], "FP32"), InferInput("k", [1], "INT32")
        vector.set_data_from_numpy(VECTOR, binary_data=False)
        k.set_data_from_numpy(np.array([K], np.int32), binary_data=False)
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            ready = await client.is_model_ready(url, "retriever", headers=headers)
            request = InferRequest("retriever", [vector, k])
            return ready, await client.infer(url, request, headers=headers, model_name="retriever")

    # A route that is accepted reaches the proxy a moment later.
    _, served = eventually(lambda: through_the_gateway(fleet, headers["Host"], "/v2/models/retriever"))
    assert served["versions"] == [fleet.stable]
    ready, answer = asyncio.run(infer())
    assert ready
    assert answer.outputs[0].data == ask(fleet.address("retriever-predictor"))


def test_the_ranker_scores_rows_of_features(fleet: Fleet):
    with triton.InferenceServerClient(fleet.address("ranker-predictor")) as client:
        [width] = [each["shape"][1] for each in client.get_model_metadata("ranker")["inputs"][:1]]
        features = triton.InferInput("features", [3, width], "FP32")
        features.set_data_from_numpy(np.random.default_rng(7).normal(size=(3, width)).astype(np.float32))
        scores = client.infer("ranker", [features]).as_numpy("scores")
    assert scores.shape == (3,)
    assert len(set(scores.tolist())) == 3


def test_the_memory_plan_is_made_from_the_limit_of_the_inference_service(fleet: Fleet):
    plan = Retriever(address=fleet.address("retriever-predictor")).memory()
    assert plan["limit_bytes"] == LIMIT_BYTES
    assert plan["chosen"] in {index["name"] for index in plan["indexes"]}


def test_prometheus_finds_memory_and_admission_of_each_inference_service(fleet: Fleet):
    retrievers = {("retriever", fleet.stable), ("retriever-canary", fleet.canary)}
    eventually(lambda: scraped(fleet, "tonnage_memory_limit_bytes") == retrievers)
    eventually(lambda: scraped(fleet, "tonnage_admission_limit") == retrievers | {("ranker", fleet.stable)})


def scraped(fleet: Fleet, metric: str) -> set[tuple[str, str]]:
    """InferenceService and release of each pod with the metric."""
    query = urllib.parse.urlencode({"query": f'{metric}{{namespace="{NAMESPACE}"}}'})
    url = f"{fleet.cluster.prometheus_url}/api/v1/query?{query}"
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
        found = json.load(answer)["data"]["result"]
    labels = [each["metric"] for each in found]
    return {(each["serving_kserve_io_inferenceservice"], each["release"]) for each in labels}


def test_each_user_stays_with_one_of_two_inference_services(fleet: Fleet):
    """KServe's own route would send a user to either, and leave the weights aside."""

    def track(user: int) -> tuple[str, str]:
        host, path = "retriever.example.com", "/v2/models/retriever"
        headers, model = through_the_gateway(fleet, host, path, user=f"user-{user}")
        return headers["x-tonnage-track"], model["versions"][0]

    both = {("stable", fleet.stable), ("canary", fleet.canary)}
    eventually(lambda: {track(user) for user in range(40)} == both)
    first = [track(user) for user in range(USERS)]
    assert [track(user) for user in range(USERS)] == first
    share = Counter(name for name, _ in first)["canary"] / USERS
    assert 0.15 < share < 0.35, "25 % of 200 users, give or take three standard errors"


def test_a_graph_asks_both_tracks_the_same(fleet: Fleet):
    url, body = f"http://{fleet.address('both-tracks', GRAPHS)}", json.dumps(question()).encode()

    def asked() -> dict[str, Any]:
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found

    answers = eventually(asked)
    versions = {track: answer["model_version"] for track, answer in answers.items()}
    assert versions == {"stable": fleet.stable, "canary": fleet.canary}
    for track, service in (("stable", "retriever-predictor"), ("canary", "retriever-canary-predictor")):
        rows = next(out["data"] for out in answers[track]["outputs"] if out["name"] == "rows")
        assert rows == ask(fleet.address(service))
