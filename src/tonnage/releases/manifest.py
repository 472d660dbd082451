"""`release.json`: what a release is, in words and digests."""

import hashlib
import json
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from tonnage.domain import ReleaseId
from tonnage.errors import IntegrityError, RequirementError

SCHEMA_VERSION = 2
FILE_NAME = "release.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileDigest(_Part):
    """What a file must be: sha256 as hex, and its size in bytes."""

    sha256: str
    bytes: int


class Window(_Part):
    """Which data the release stands on and was judged by; see `training.trained.DataWindow`."""

    since: AwareDatetime
    until: AwareDatetime
    interactions: int
    users: int
    items: int
    judged_from: AwareDatetime
    judged_until: AwareDatetime


class Features(_Part):
    """The ranker's feature columns by group, in its order, and the digest of their definitions."""

    fingerprint: str
    item: tuple[str, ...]
    user: tuple[str, ...]
    user_item: tuple[str, ...]
    sources: tuple[str, ...]
    cross: tuple[str, ...]
    all: tuple[str, ...]


class Retrieval(_Part):
    """Shapes and constants of the candidate sources.

    Attributes:
        dimensions: columns of the item vectors.
        neighbours: columns of the neighbour tables.
        alpha: weight of an observed interaction when a user is folded in.
        recall_floor: an index variant with less recall@100 is not served.
    """

    dimensions: int
    neighbours: int
    alpha: float
    recall_floor: float


class IndexVariant(_Part):
    """One way to store and search the item vectors, as it was measured when the release was written.

    Attributes:
        name: search and precision, such as `hnsw-i8`; see `tonnage.index.VARIANTS`.
        files: what it is served from, paths in the release.
        disk_bytes: their size.
        resident_bytes: memory that it keeps resident, shared by all processes of a pod but for its heap.
        recall_at_100: mean share of the exact top 100 over float32 that it finds.
        recall_at_500: likewise of the top 500.
        latency_ms: median of one search for 100 items in one thread. Another run measures another, so it is
            no part of the digest, and nothing may be decided by it.
    """

    name: str
    files: tuple[str, ...]
    disk_bytes: int
    resident_bytes: int
    recall_at_100: float
    recall_at_500: float
    latency_ms: float


class Evaluation(_Part):
    """How the release did on days it had not seen.

    Attributes:
        accepted: it beats every baseline on NDCG@10.
        reasons: each baseline and the margin, in words.
        results: metrics with intervals, as training reports them.
    """

    accepted: bool
    reasons: tuple[str, ...]
    results: dict[str, Any]


class Manifest(_Part):
    """Everything a release says about itself.

    Attributes:
        schema_version: of this file's layout.
        id: `r-<yyyymmdd of the last interaction>-<first 8 hex digits of digest>`.
        digest: sha256 over everything else in this file, the digests of the other files included, measured
            times excepted.
        replay: the data are historical: serving's clock starts at `window.until`.
        vocabularies: the known values of each demographic column.
        index: how the item vectors can be served.
        libraries: versions that trained it.
        files: every other file of the release, by its path.
    """

    schema_version: int
    id: ReleaseId
    digest: str
    replay: bool
    window: Window
    features: Features
    vocabularies: dict[str, tuple[str, ...]]
    retrieval: Retrieval
    index: tuple[IndexVariant, ...]
    evaluation: Evaluation
    libraries: dict[str, str]
    files: dict[str, FileDigest]

    @classmethod
    def of(cls, *, window: Window, **content: Any) -> "Manifest":
        """A manifest with the digest and the id that follow from its content."""
        blank = cls(schema_version=SCHEMA_VERSION, id=ReleaseId(""), digest="", window=window, **content)
        digest = blank.content_digest()
        return blank.model_copy(update={"id": _id(window.until, digest), "digest": digest})

    def content_digest(self) -> str:
        """The digest that this content has, hex."""
        unmeasured = {"index": {"__all__": {"latency_ms"}}}
        content = self.model_dump(mode="json", exclude={"id": True, "digest": True, **unmeasured})
        return hashlib.sha256(_canonical(content)).hexdigest()

    def as_json(self) -> str:
        """The content of `release.json`: the same manifest, the same bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, where: object) -> "Manifest":
        """Read a manifest and prove that it is the one its id names.

        Raises:
            IntegrityError: it is not a manifest, or its content was changed.
            RequirementError: another version of this package wrote it.
        """
        try:
            content = json.loads(text)
            version = int(content["schema_version"])
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError("this is not a release manifest", file=where) from error
        if version != SCHEMA_VERSION:
            raise RequirementError(
                f"the manifest has schema version {version}, and this tonnage reads {SCHEMA_VERSION}",
                hint="Train again." if version < SCHEMA_VERSION else "Use the version that wrote it.",
                file=where,
            )
        try:
            manifest = cls.model_validate(content)
        except ValidationError as error:
            raise IntegrityError(
                f"the manifest is damaged: {error.errors()[0]['msg']}", file=where
            ) from error
        actual = manifest.content_digest()
        if manifest.digest != actual or manifest.id != _id(manifest.window.until, actual):
            raise IntegrityError(
                "the manifest's content was changed after it was written",
                hint="Fetch the release again.",
                file=where,
                expected=manifest.digest,
                actual=actual,
            )
        return manifest


def _id(until: AwareDatetime, digest: str) -> ReleaseId:
    return ReleaseId(f"r-{until:%Y%m%d}-{digest[:8]}")


def _canonical(content: object) -> bytes:
    # Not sorted: the order of the vocabularies is the order of feature columns, so it must not change unseen.
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
