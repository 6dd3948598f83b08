"""The names of things that a criterion counts, and which of the measures each one means."""

from __future__ import annotations

import re

_UNITS = (
    # (wording, measure); the first that matches a name counts, so special names come first
    (r"(?:unique|distinct|different) words", "unique words"),
    (
        r"(?:words? (?:that are )?(?:written )?(?:entirely |completely |fully )?in (?:all[- ])?(?:capital "
        r"letters|capitals|caps|"
        r"upper ?case)(?: letters)?|(?:all[- ]caps|all[- ]capitals?|fully capitali[sz]ed|all[- ]uppercase|"
        r"upper-?case) words?)",
        "capital words",
    ),
    (r"words?", "words"),
    (r"sentences?", "sentences"),
    (r"(?:markdown |section |sub|sub-)?(?:headings?|headers?)|section titles?", "headings"),
    (r"(?:h|level[- ])(?:[1-6])(?: markdown)? (?:headings?|headers?)", "h"),
    (r"paragraphs?|stanzas?|blocks? of text", "paragraphs"),
    (r"(?:non-empty )?lines?(?: of text)?", "lines"),
    (
        r"characters? (?:excluding|not counting|not including|without)(?: the)? (?:white)?spaces?",
        "characters without spaces",
    ),
    (r"characters?(?:,? (?:including|counting|with)(?: the)? (?:white)?spaces?)?", "characters"),
    (
        r"(?:capital|upper-?case) letters?(?: characters?)?|upper-?case characters?|capitals",
        "capital letters",
    ),
    (r"lower-?case (?:letters?|characters?)", "lowercase letters"),
    (r"letters?", "letters"),
    (
        r"(?:markdown )?(?:bullet|bulleted)[- ]?(?:points?|items?|list items?|entries)(?: in (?:markdown(?: "
        r"format)?)| in (?:a|the) "
        r"list)?|"
        r"(?:markdown )?bullets?|"
        r"items? in (?:a|the) bullet(?:ed)? list|(?:markdown )?(?:bullet(?:ed|-point)?|bullet point|"
        r"unordered) "
        r"lists?",
        "bullets",
    ),
    (
        r"(?:numbered|ordered)(?: list)? (?:items?|points?|entries|steps?|lines)|items? in (?:a|the) "
        r"numbered "
        r"list|"
        r"(?:numbered|ordered) lists?",
        "numbered items",
    ),
    (
        r"list items?|items? in (?:a|the) list|bullet(?:s| points)? or numbered (?:items|points|lists?)",
        "list items",
    ),
    (
        r"(?:fenced |markdown )?code (?:blocks?|fences?|snippets?)(?: fenced (?:by|with|in) (?:3|triple) "
        r"backticks)?",
        "code blocks",
    ),
    (r"(?:markdown )?tables?", "tables"),
    (
        r"(?:bracketed )?placeholders?(?: (?:\w+ )?(?:in|by|with|inside|within) (?:square )?brackets)?",
        "placeholders",
    ),
    (
        r"(?:markdown |separate )?highlighted (?:sections?|parts?|phrases?|texts?|words?)(?: (?:in|with|"
        r"using) "
        r"(?:markdown|asterisks))?",
        "highlights",
    ),
    (
        r"(?:bold(?:ed)?|bold-faced)(?: (?:words?|phrases?|sections?|texts?|terms?))?(?: in markdown)?|"
        r"(?:words?|phrases?|terms?) in bold",
        "bold",
    ),
    (
        r"italic(?:i[sz]ed|s)?(?: (?:words?|phrases?|sections?|texts?|terms?))?|(?:words?|phrases?|terms?) "
        r"in "
        r"italics",
        "italic",
    ),
    (r"(?:hyper)?links?|urls?|web addresses", "links"),
    (r"hash ?tags?", "hashtags"),
    (r"emojis?|emoji characters?|emoticons?", "emojis"),
    (r"question marks?", "question marks"),
    (r"questions?|interrogative sentences?", "questions"),
    (r"exclamation (?:marks?|points?)", "exclamation marks"),
    (r"commas?(?: characters?)?", "commas"),
    (r"semi-?colons?", "semicolons"),
    (r"colons?", "colons"),
    (r"full stops?|periods?", "full stops"),
    (r"em[- ]?dash(?:es)?|dash(?:es)?", "dashes"),
    (r"hyphens?", "hyphens"),
    (r"parenthes[ei]s|round brackets|parenthetical (?:remarks?|phrases?)", "parentheses"),
    (r"apostrophes?", "apostrophes"),
    (r"(?:double )?quotation marks?", "quotation marks"),
    (r"asterisks?", "asterisks"),
    (r"(?:numerical |numeric )?digits?|numeric characters?", "digits"),
    (r"numbers?|numerals?|numeric values?", "numbers"),
    (r"(?:markdown|markdown (?:formatting|syntax|markup|elements)|markup)", "markdown"),
)
_MEANINGS = tuple((re.compile(wording), measure) for wording, measure in _UNITS)

UNIT = "(?:" + "|".join(f"(?:{wording})" for wording, _ in _UNITS) + ")"
"""Matches the name of anything countable; no groups of its own."""

BARE_IS_VAGUE = frozenset({"words", "characters", "characters without spaces", "letters", "unique words"})
"""Where a bare number ("is 200 words long") rarely means exactly that number, so it is not decided."""

_ALONE = (
    "headings h1 h2 h3 h4 h5 h6 bullets links hashtags emojis questions commas semicolons colons dashes "
    "hyphens parentheses placeholders tables markdown bold italic digits numbers asterisks highlights"
)
COUNTABLE_ALONE = frozenset(_ALONE.split()) | {
    "numbered items",
    "list items",
    "code blocks",
    "question marks",
    "exclamation marks",
    "full stops",
    "quotation marks",
    "capital letters",
    "lowercase letters",
    "capital words",
}
"""What may be asked for without a number: "includes a table"."""


def unit_of(name: str) -> str:
    """The measure that a name matched by `UNIT` means."""
    measure = next(measure for wording, measure in _MEANINGS if wording.fullmatch(name))
    return f"h{re.findall('[1-6]', name)[0]}" if measure == "h" else measure
