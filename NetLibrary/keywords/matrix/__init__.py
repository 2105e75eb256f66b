"""Keywords for the Service matrix: every kind of Service from every pod, with the reason for every wrong cell."""

from __future__ import annotations

from NetLibrary.keywords.matrix.cases import MatrixCaseKeywords
from NetLibrary.keywords.matrix.results import MatrixResultKeywords


class MatrixKeywords(MatrixCaseKeywords, MatrixResultKeywords):
    """All of them."""


__all__ = ["MatrixKeywords"]
