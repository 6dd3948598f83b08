"""Criteria that a program can decide exactly: counts, formats, keywords, case, JSON, language, ...

A criterion is claimed only if a program can decide all of it, from its text alone, so that planning
("this one needs no model") and grading agree. The wording is read by `checking/wordings.py`; what each
constraint means stands in `checking/constraints.py`, and what is counted in `checking/measures.py`.

The kinds follow the verifiable instructions of IFEval (Zhou et al. 2023, arXiv 2311.07911) and go beyond
its wordings. Where our counting differs, it is in favour of the plain reading of the criterion.
"""

from __future__ import annotations

from rubricate.domain.checking.wordings import constraint_of


def is_decidable(criterion_text: str) -> bool:
    """Whether a program decides this criterion. Depends on the criterion's text alone."""
    return constraint_of(criterion_text) is not None


def decide(criterion_text: str, prompt_text: str, response_text: str) -> bool | None:
    """Whether the response meets the criterion, decided by a program.

    None when the criterion is not claimed (`is_decidable` says which), or when this very response cannot be
    decided: a language that nothing tells, "each bullet point ..." without a bullet point. The prompt is read
    only by criteria that ask to repeat it. Linear in the length of the response.
    """
    constraint = constraint_of(criterion_text)
    return None if constraint is None else constraint.holds(response_text, prompt_text)
