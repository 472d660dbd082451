"""Locust's users of the retriever and of the ranker, over the Open Inference Protocol: REST and gRPC."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from gevent.lock import BoundedSemaphore
from locust import FastHttpUser, task
from locust.env import Environment
from locust.runners import WorkerRunner

from hosts import GRPC, HTTP, PATIENCE_S, Address, not_a_model, require_model
from questions import Sent, Way, complaint_of_grpc, complaint_of_rest, questions, written
from shopping import ByTheClock
from tonnage.errors import DependencyError, NotFoundError
from tonnage.releases.release import Release, open_release
from tonnage.serving.edge import REQUEST_ID
from tonnage.serving.protocol import oip
from tonnage.serving.protocol.protos import INFERENCE_SERVICE, message

DIFFERENT = 256
"""Different questions, of which each person sends one after the other, in an order of her own."""

METHOD = f"/{INFERENCE_SERVICE}/"

STATUS: Mapping[str, int] = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "UNIMPLEMENTED": 404,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 413,
    "UNAVAILABLE": 503,
}
"""HTTP's word for gRPC's status, as our services translate it; 500 for any other."""

PUSHBACK = "grpc-retry-pushback-ms"
"""What says in gRPC when to come again; the services send it with a refusal only."""

POOL: dict[str, Sequence[Sent]] = {}
"""Questions of this process, by the class that asks them."""

WRITING = BoundedSemaphore()


class ModelUser(ByTheClock):
    """Asks one model, by the clock."""

    abstract = True
    model: ClassVar[str]
    way: ClassVar[Way]
    schemes: ClassVar[Collection[str]]

    def on_start(self) -> None:
        """Find her questions."""
        self.sent = pool(type(self), self.environment)
        self.label = f"{self.model}-{self.way}"
        super().on_start()

    @classmethod
    def release_at(cls, address: Address) -> str:
        """The id of the release whose model answers at an address.

        Raises:
            DependencyError: nobody answers, or somebody else.
        """
        return grpc_release(address, cls.model) if cls.way is Way.GRPC else require_model(address, cls.model)


class RestUser(ModelUser, FastHttpUser):
    """Asks over REST."""

    abstract = True
    schemes = HTTP

    @task
    def ask(self) -> None:
        """Ask one question; anything but a 200 with as many scores as were asked for is a failure."""
        sent = self.random.choice(self.sent)
        with self.client.post(
            f"/v2/models/{self.model}/infer",
            data=sent.body,
            headers=sent.headers,
            catch_response=True,
            name=self.label,
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif wrong := complaint_of_rest(
                sent.question, answer.content, answer.headers.get(oip.HEADER_LENGTH)
            ):
                answer.failure(wrong)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over gRPC, as listeners of Locust's requests know those of HTTP.

    Attributes:
        status_code: HTTP's; 0 where the service did not answer.
        headers: what came behind the message.
    """

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)


class GrpcUser(ModelUser):
    """Asks over gRPC, on a connection of her own."""

    abstract = True
    schemes = GRPC

    def on_start(self) -> None:
        """Connect, and find her questions."""
        self.channel = channel(Address.of(self.host, GRPC))
        # The question is written already, and the answer is read when its time has been taken.
        self.infer = self.channel.unary_unary(f"{METHOD}ModelInfer")
        super().on_start()

    def on_stop(self) -> None:
        """Let the connection go."""
        self.channel.close()

    @task
    def ask(self) -> None:
        """Ask one question; see `RestUser.ask`."""
        sent = self.random.choice(self.sent)
        start_time, began = time.time(), time.perf_counter()
        body, failure, answer = self._asked(sent)
        milliseconds = 1000 * (time.perf_counter() - began)
        if not failure:
            failure = complaint_of_grpc(sent.question, body)
        self.environment.events.request.fire(
            request_type="gRPC",
            name=self.label,
            response_time=milliseconds,
            response_length=len(body),
            exception=ConnectionError(failure) if failure else None,
            context={},
            response=answer,
            start_time=start_time,
        )

    def _asked(self, sent: Sent) -> tuple[bytes, str, Answer]:
        try:
            body, call = self.infer.with_call(sent.body)
        except _grpc().RpcError as error:
            answer = answered(error)
            if answer.status_code:
                return b"", f"status {answer.status_code}", answer
            return b"", f"{error.code().name}: {error.details()}", answer
        return body, "", answered(call)


def answered(call: Any) -> Answer:
    """What a call of gRPC, failed or not, is to listeners who think in HTTP."""
    told = {name: str(value) for name, value in call.trailing_metadata() or ()}
    if REQUEST_ID not in told:
        # Our services name the request in each answer; without, it is the client's or a proxy's own.
        return Answer(0)
    if PUSHBACK in told:
        return Answer(503, {**told, "retry-after": told[PUSHBACK]})
    return Answer(STATUS.get(call.code().name, 500), told)


def channel(address: Address) -> Any:
    """A connection of its own: without the option, all of a process's channels share one."""
    return _grpc().insecure_channel(address.target, options=[("grpc.use_local_subchannel_pool", 1)])


@cache
def _grpc() -> Any:
    """gRPC, driven by gevent; here, so that who does not speak it does not carry it."""
    import grpc
    from grpc.experimental.gevent import init_gevent

    init_gevent()
    return grpc


def grpc_release(address: Address, model: str) -> str:
    """The id of the release whose model answers over gRPC.

    Raises:
        DependencyError: nobody answers, or somebody else.
    """
    grpc, asked = _grpc(), message("inference.ModelMetadataRequest")(name=model)
    with channel(address) as connection:
        ask = connection.unary_unary(f"{METHOD}ModelMetadata")
        try:
            told = message("inference.ModelMetadataResponse").FromString(
                ask(asked.SerializeToString(), timeout=PATIENCE_S)
            )
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise DependencyError(
                    f"nobody answers gRPC at {address.url}.",
                    hint="Its port is another than HTTP's: TONNAGE_GRPC_PORT of the service.",
                ) from error
            raise not_a_model(address, model, f"{error.code().name}: {error.details()}") from error
    if told.name != model or not told.versions:
        raise not_a_model(address, model, f"it is {told.name or 'nothing'}")
    return str(told.versions[0])


def release_of(options: Any, name: str) -> Release:
    """The release that questions are about.

    Args:
        options: `--release` or `--project` say where it lies.
        name: its id.

    Raises:
        NotFoundError: it is not there.
    """
    directory = (
        Path(options.release) if options.release else Path(options.project) / "build" / "releases" / name
    )
    hint = f"Give --release DIRECTORY of {name}, or --project DIRECTORY that has it in build/releases."
    try:
        release = open_release(directory, verify=False)
    except NotFoundError as error:
        raise NotFoundError("the served release is not here", hint=hint, directory=directory) from error
    if release.id != name:
        raise NotFoundError(f"{release.id} is not the release that is served", hint=hint, directory=directory)
    return release


def prepare(environment: Environment) -> None:
    """Forget the questions of the last test and write those of this one, if it is known here who asks.

    Raises:
        TonnageError: see `pool`.
    """
    POOL.clear()
    if not isinstance(environment.runner, WorkerRunner):
        for each in environment.user_classes:
            if issubclass(each, ModelUser):
                pool(each, environment)


def pool(user: type[ModelUser], environment: Environment) -> Sequence[Sent]:
    """Questions of a class, written when its first user of a test comes.

    Args:
        user: the class.
        environment: Locust's.

    Raises:
        TonnageError: there is no such model, or its release is not here.
    """
    # A worker learns which classes there are from its first users; the others wait for the first of them.
    with WRITING:
        if user.__name__ not in POOL:
            options = environment.parsed_options
            address = Address.of(environment.host or user.host, user.schemes)
            release = release_of(options, user.release_at(address))
            asked = questions(user.model, release, count=DIFFERENT, seed=options.seed)
            POOL[user.__name__] = written(user.way, user.model, asked)
        return POOL[user.__name__]


class RetrieverJson(RestUser):
    """The retriever, REST with JSON."""

    model, way = "retriever", Way.JSON


class RetrieverBinary(RestUser):
    """The retriever, REST with the binary tensor extension."""

    model, way = "retriever", Way.BINARY


class RetrieverGrpc(GrpcUser):
    """The retriever, gRPC."""

    model, way = "retriever", Way.GRPC


class RankerJson(RestUser):
    """The ranker, REST with JSON."""

    model, way = "ranker", Way.JSON


class RankerBinary(RestUser):
    """The ranker, REST with the binary tensor extension."""

    model, way = "ranker", Way.BINARY


class RankerGrpc(GrpcUser):
    """The ranker, gRPC."""

    model, way = "ranker", Way.GRPC
