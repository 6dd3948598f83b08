"""Stock phrases: words that sound like an answer and say nothing of the matter."""

from __future__ import annotations

import re
from collections.abc import Sequence

_STOCK = re.compile(
    r"\b(?:important|importance|essential|crucial(?:ly)?|vital|significant(?:ly)?|various|several|aspects?|"
    r"factors?|"
    r"consider(?:ations?|ing)?|perspectives?|individual(?:ly)?|situations?|circumstances|approach(?:es)?|"
    r"overall|holistic|"
    r"comprehensive|journey|balanced?|process|context|careful(?:ly)?|appropriate|relevant|certain|"
    r"particular|general(?:ly)?|"
    r"different|unique|ultimately|understand(?:ing)?|ensure|remember|worth noting|in summary|in conclusion|"
    r"complex(?:ity)?|"
    r"makes? sense|levels?|values?|goals?|matters?|role|nature|insights?|foundation|thoughtful|valuable|"
    r"meaningful|"
    r"opportunit(?:y|ies)|challenges?|potential(?:ly)?|helpful|useful|further(?:more)?|additional(?:ly)?|"
    r"moreover|"
    r"topic|area|field|it depends)\b",
    re.IGNORECASE,
)


def stock_share(text: str, n_words: int) -> float:
    """Stock phrases per word, in [0, 1]; 0 for a text without words."""
    return len(_STOCK.findall(text)) / n_words if n_words else 0.0


def without_stock(sentences: Sequence[str]) -> list[str]:
    """The sentences that carry no stock phrase."""
    return [sentence for sentence in sentences if not _STOCK.search(sentence)]
