"""The messages of the Open Inference Protocol over gRPC, and of gRPC's health check.

They live in a pool of their own: `tritonclient` and the `kserve` SDK each register the same names in the
process-wide pool, and two of those in one process do not import.
"""

from functools import cache
from typing import Any

INFERENCE_SERVICE = "inference.GRPCInferenceService"
HEALTH_SERVICE = "grpc.health.v1.Health"


@cache
def message(name: str) -> Any:
    """The class of a message, such as `inference.ModelInferRequest`; made when it is first asked for."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> Any:
    from google.protobuf.descriptor_pool import DescriptorPool

    from tonnage.serving.protocol.protos.descriptors import HEALTH, INFERENCE

    pool = DescriptorPool()
    for file in (INFERENCE, HEALTH):
        pool.AddSerializedFile(file)
    return pool
