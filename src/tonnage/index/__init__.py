"""Nearest items by inner product: how the item vectors are stored, searched and measured."""

from tonnage.index.building import build
from tonnage.index.measuring import Measured
from tonnage.index.search import Index
from tonnage.index.stored import open_index
from tonnage.index.variants import EXACT_ITEMS, RECALL_FLOOR, VARIANTS, predict_bytes, variants_for

__all__ = [
    "EXACT_ITEMS",
    "RECALL_FLOOR",
    "VARIANTS",
    "Index",
    "Measured",
    "build",
    "open_index",
    "predict_bytes",
    "variants_for",
]
