"""Vectors of the words that describe an item, for items that nobody had yet."""

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from tonnage.domain import Floats

WORD = r"(?u)\w+"
"""Any run of letters or digits: titles of single letters must not leave an empty vocabulary."""


def content_vectors(items: pd.DataFrame, *, factors: int, seed: int) -> Floats:
    """TF-IDF of title, category and description, reduced by SVD; float32 [items, up to factors].

    Args:
        items: the table of that name.
        factors: most columns.
        seed: of the SVD.
    """
    columns = [name for name in ("title", "category", "description") if name in items]
    texts = items[columns].fillna("").agg(" ".join, axis=1)
    words = TfidfVectorizer(token_pattern=WORD, sublinear_tf=True, dtype=np.float32)
    if not any(char.isalnum() for text in texts for char in text):
        return np.zeros((len(items), 1), np.float32)
    matrix = words.fit_transform(texts)
    if min(matrix.shape) <= factors:
        return np.asarray(matrix.toarray(), np.float32)
    reduced: Floats = TruncatedSVD(factors, random_state=seed).fit_transform(matrix).astype(np.float32)
    return reduced
