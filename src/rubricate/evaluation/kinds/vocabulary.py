"""The names: twenty-one types of refinement, and twenty groups of what a criterion takes to be met.

Both lists are those of Chasing the Tail (arXiv 2509.21500), Table 3 and Figure 5, in the order of their
shares there. The labels are shortened and the meanings are in our own words: the paper clustered what a model
had listed, and gives labels and shares, but no definitions that one could apply. Shares measured here are
therefore comparable among themselves, and only roughly with those of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPES: Mapping[str, str] = {
    "explicit statements": "now demands that something is said outright, not implied",
    "substance over surface": "replaces a superficial feature by what really matters for the answer",
    "weights and granularity": "changes weights, or how coarse or fine the scale is, and not what is asked",
    "splitting": "splits one complex criterion into several",
    "penalties and prohibitions": "adds something that must not occur, or a penalty for it",
    "vague to specific": "makes a vague wording specific: names, numbers, examples",
    "comparing alternatives": "demands that alternatives are compared, weighed or ruled out",
    "more approaches accepted": "accepts more ways to be right: or, any of, equivalent, at least one of",
    "conditional rules": "makes the demand depend on a condition: if, when, unless, depending on",
    "redundancy removed": "removes or merges criteria that overlap or say nothing new",
    "timing and sequence": "demands a time, a duration, an order of steps, a priority in time",
    "precise language": "demands precise or technical terms, units, correct names",
    "causal explanation": "demands why or how: a cause, a mechanism",
    "verification and evidence": "demands evidence, sources, checks, tests, confirmation",
    "structure and format": "demands a structure, a layout, a length, a format",
    "justified decisions": "demands reasons for a choice or a recommendation",
    "scope and limits": "demands limits, assumptions, applicability, focus on what was asked",
    "risk and safety": "demands risks, warnings, precautions, when to seek help",
    "actionable advice": "demands concrete steps that the reader can take",
    "errors corrected": "corrects a mistake in the criterion itself",
    "tone and communication": "demands a tone, empathy, politeness, plain words for the audience",
}

GROUPS: Mapping[str, str] = {
    "causal analysis": "traces causes, mechanisms, consequences",
    "concepts": "explains or applies a concept, a definition, a distinction",
    "eliminating alternatives": "rules out or weighs alternatives",
    "synthesising evidence": "brings several pieces of evidence together to a conclusion",
    "formal rules": "applies a formal rule, a guideline, a law, a standard procedure",
    "strategic planning": "plans steps, priorities, management",
    "factual verification": "states something that is correct and can be checked",
    "risk evaluation": "weighs risks, complications, severity, urgency",
    "rules and scope": "obeys an instruction or a limit of the task",
    "systems": "understands how parts of a system act together",
    "focus": "keeps to what was asked, leaves out what is irrelevant",
    "fact retrieval": "names a specific fact, entity, term",
    "clarity and uncertainty": "is clear, or says how certain it is",
    "safety disclaimers": "advises to see a professional, warns",
    "format": "has a structure, a layout, a length",
    "hypothesis testing": "states a hypothesis and how to test it",
    "calculation": "computes something",
    "quantitative significance": "interprets numbers, sizes, thresholds",
    "anomalies": "notices what is unusual or does not fit",
    "history": "puts things in a historical or temporal background",
}
