"""The public API's requests and answers."""

from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]

MAX_K = 100
MAX_ITEMS = 1000
MAX_EVENTS = 500


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FiltersBody(_Strict):
    """What every item must be."""

    category: str | None = Field(None, max_length=256, examples=["lamps"])
    price_min: float | None = Field(None, ge=0, allow_inf_nan=False)
    price_max: float | None = Field(None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise ValueError("price_min is above price_max")
        return self


class ContextBody(_Strict):
    """What the user is looking at now; it counts like events of this moment and is not recommended back."""

    items: list[Identifier] = Field(default_factory=list, max_length=MAX_ITEMS)


class RecommendationsBody(_Strict):
    """Asks for a slate."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user_id": "17850", "k": 10, "explain": True}]}
    )

    user_id: Identifier | None = Field(None, description="Unknown or absent is a cold start, not an error.")
    k: int = Field(10, ge=1, le=MAX_K, strict=True, description="How many items.")
    context: ContextBody = Field(default_factory=ContextBody)
    filters: FiltersBody = Field(default_factory=FiltersBody)
    exclude: list[Identifier] = Field(default_factory=list, max_length=MAX_ITEMS)
    exclude_seen: bool = Field(False, strict=True, description="Leave out what the user has had before.")
    explain: bool = Field(False, strict=True, description="Say what moved each item up or down.")


class SimilarItemsBody(_Strict):
    """Asks for items like others."""

    item_id: Identifier
    k: int = Field(10, ge=1, le=MAX_K, strict=True)
    filters: FiltersBody = Field(default_factory=FiltersBody)
    exclude: list[Identifier] = Field(default_factory=list, max_length=MAX_ITEMS)


class EventBody(_Strict):
    """One thing a user did."""

    event_id: Identifier = Field(description="Unique; the same id twice is the same event.")
    user_id: Identifier
    item_id: Identifier
    kind: str = Field("purchase", min_length=1, max_length=64)
    at: AwareDatetime | None = Field(
        None, description="With a timezone; absent means now, and later than now counts as now."
    )
    quantity: float = Field(1.0, gt=0, allow_inf_nan=False)
    price: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Of one; absent means the item's."
    )


class EventsBody(_Strict):
    """A batch of events; sending it again changes nothing."""

    events: list[EventBody] = Field(min_length=1, max_length=MAX_EVENTS)


class Reason(BaseModel):
    """What one feature adds to an item's score."""

    feature: str
    contribution: float


class SlateItem(BaseModel):
    """One item of a slate."""

    item_id: str
    score: float
    title: str | None = None
    sources: list[str] = Field(description="Who proposed it: vectors, repeats, co_purchase, trend.")
    reasons: list[Reason] | None = None


class SlateAnswer(BaseModel):
    """A slate, best item first."""

    request_id: str
    release: str
    track: str
    items: list[SlateItem]
    fallback: str | None = Field(
        None,
        description="Named when a part was missing: features-unavailable, retriever-unavailable, "
        "ranker-unavailable or deadline.",
    )
    unknown_items: list[str] | None = Field(None, description="Items of the request that the release lacks.")


class EventsAnswer(BaseModel):
    """What became of a batch."""

    request_id: str
    new: int
    known: int
    unknown_items: list[str] | None = None


class ReleaseAnswer(BaseModel):
    """What is served."""

    id: str
    track: str
    until: AwareDatetime
    items: int
    fingerprint: str
    accepted: bool


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]] | None = None
