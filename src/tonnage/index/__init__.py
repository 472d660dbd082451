"""Nearest items by inner product: how the item vectors are stored, searched and measured."""

from tonnage.index.building import Measured, build
from tonnage.index.search import Index, open_index
from tonnage.index.variants import EXACT_ITEMS, VARIANTS, predict_bytes, variants_for

__all__ = [
    "EXACT_ITEMS",
    "VARIANTS",
    "Index",
    "Measured",
    "build",
    "open_index",
    "predict_bytes",
    "variants_for",
]
