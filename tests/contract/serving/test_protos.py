"""The generated descriptors, and whether others may use the same names in the same process."""

import subprocess
import sys

import pytest
from tests.factories.protos import WRITTEN, generated

# The module alone: the whole SDK takes ten seconds to import.
KSERVE = """
import importlib.util, sys
sys.path.append(importlib.util.find_spec("kserve").submodule_search_locations[0] + "/protocol/grpc")
import grpc_predict_v2_pb2
"""

BESIDE_OURS = """
from tonnage.serving.protocol.protos import message
ours = message("inference.ModelInferRequest")(model_name="m", raw_input_contents=[b"x"])
ours.parameters["k"].int64_param = 3
theirs = {theirs}.ModelInferRequest.FromString(ours.SerializeToString())
assert (theirs.model_name, theirs.raw_input_contents[0], theirs.parameters["k"].int64_param) == ("m", b"x", 3)
assert message("inference.ModelInferRequest").FromString(theirs.SerializeToString()) == ours
"""


def test_the_descriptors_are_what_protoc_makes_of_the_protos():
    """Run `python -m tests.factories.protos` after a change of a proto."""
    assert WRITTEN.read_text(encoding="utf-8") == generated()


@pytest.mark.parametrize(
    ("imported", "theirs"),
    [
        ("from tritonclient.grpc import service_pb2", "service_pb2"),
        (KSERVE, "grpc_predict_v2_pb2"),
    ],
    ids=["tritonclient", "kserve"],
)
@pytest.mark.parametrize("first", [True, False], ids=["theirs first", "ours first"])
def test_messages_of_others_live_in_the_same_process_and_mean_the_same(imported, theirs, first):
    """Protobuf refuses a second file of the same names in one pool; numbers that differ would lose fields."""
    ours = "from tonnage.serving.protocol.protos import message; message('inference.ModelInferRequest')"
    program = "\n".join(
        [*([imported, ours] if first else [ours, imported]), BESIDE_OURS.format(theirs=theirs)]
    )
    subprocess.run([sys.executable, "-c", program], check=True)
