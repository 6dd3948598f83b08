"""Pieces of pattern that the phrases of a criterion are put together from: verbs, lists, quotes, cases."""

from __future__ import annotations

from rubricate.domain.checking.languages import LANGUAGES
from rubricate.domain.checking.quantities import QUANTITY, SUFFIX
from rubricate.domain.checking.quoting import SIGNS
from rubricate.domain.checking.units import UNIT

BE = r"(?:is|are|be|stays?|remains?)"
SHAPED = (
    rf"{BE} (?:written|formatted|presented|structured|organi[sz]ed|divided|split|broken|arranged|delivered|"
    rf"given|made|"
    r"composed|comprised|laid)(?: up| down| out)?(?: as| in| into| using| with| of)?"
)
HAVE = (
    r"(?:contains?|containing|includes?|including|ha(?:s|ve)|having|uses?|using|features?|employs?|"
    r"provides?|gives?|"
    r"presents?|offers?|consists? (?:only |solely |entirely )?of|comprises?|incorporates?|makes? use of|"
    r"adds?|"
    r"writes?|inserts?|shows?|displays?|carries|carry|makes?|asks?|poses?|be|"
    rf"{SHAPED})"
)
ONLY = r"(?:(?:entirely|completely|fully|wholly|exclusively|solely|only|strictly|all) )?"
QUANTIFIED = (
    rf"(?:(?P<quantity>{QUANTITY}) ?|an? |the |some )?(?:(?:distinct|separate|individual|total|valid|"
    rf"proper) )?"
    rf"(?P<unit>{UNIT})(?P<suffix>{SUFFIX}?)(?: (?:long|in length|in size|only))?"
)
TIMES = rf"(?P<times>{QUANTITY}) times?(?P<suffix>{SUFFIX}?)"
KIND = (
    r"(?:(?:exact|specific|literal|required|given|following) )*(?:key ?words?|words?|phrases?|terms?|"
    r"strings?|expressions?|names?)(?: or phrases?)?"
)
LIST = (
    rf"(?:(?P<either>(?:at least |exactly |only |just )?(?:1|any)(?: or more)? of (?:these|the following|"
    rf"the)|either|any) ?)?"
    rf"(?:(?:each|all|both|every one) of (?:these|the following|the)|all (?:the|these)|both|the following|"
    rf"these|the|an?)? ?"
    rf"(?:(?:of )?(?:these|the following|the) )?(?:{KIND}:? )?(?P<signs>{SIGNS})"
)
BARE = r"(?:the )?(?:exact |specific )?(?:key ?word|word) (?P<bare>[^\W\d_][\w'-]*)"
SAY = (
    r"(?:contains?|containing|includes?|including|uses?|using|mentions?|mentioning|features?|"
    r"incorporates?|has|have|employs?|repeats?)"
)
PUNCTUATED = {
    "question": r"an? (?:\w+ )?question(?: mark)?",
    "exclamation": r"an? exclamation (?:mark|"
    r"point)",
    "full stop": r"an? (?:full stop|period)",
    "punctuation": r"(?:proper |closing |terminal "
    r")?punctuation(?: marks?)?",
}
START = r"(?:starts?|begins?|opens?|beginning|starting) with"
END = r"(?:ends?|concludes?|finishes|finish|closes?|ending) with"
TEXT = (
    rf"(?:the |an? )?(?:(?:exact|following|precise|literal|closing|opening) )*(?:words?|phrases?|"
    rf"sentences?|texts?|lines?|strings?|greeting|statement|words|letters?|characters?)?:? "
    rf"?(?P<signs>{SIGNS})"
)
IN_CASE = rf"(?:{BE} )?(?:written )?{ONLY}(?:in |with |using |of )?{ONLY}"
LOWER = (
    r"(?:lower[- ]?case|small letters)(?: english)?(?: letters| text| characters| words| english)?(?: "
    r"only)?"
)
UPPER = (
    r"(?:(?:all[- ])?caps|upper[- ]?case|capital letters|capitals|capitali[sz]ed letters)(?: letters| "
    r"text| characters| words| english)?(?: only)?"
)
NAMED = rf"(?P<language>{'|'.join(sorted(LANGUAGES, key=len, reverse=True))})"
WRAPPED = (
    r"(?:wrapped|enclosed|surrounded|placed|put|encased|written|marked|contained|delimited)(?: in| "
    r"within| inside| by| with| using)?"
)
QUOTES = r"(?:a pair of )?(?:double )?(?:quotation marks|quotes|quote marks)"
ANGULAR = r"(?:double (?:angular|angle|angled|pointed) (?:brackets|quotes)|<<(?: and |\s?)?>>|<<\w*>>)"
OPTIONS = (
    rf"(?:(?:these|the)?(?: (?:\d+|fixed|following|allowed|given|provided|listed|possible|exact))* "
    rf"(?:options|answers|phrases|strings|responses|sentences|words|labels|choices|values)(?: exactly)?:? "
    rf")?(?P<signs>{SIGNS})"
)
MARK = r"(?P<mark>(?:p\.? ?)+s\.?:?)"

ITSELF = (
    r"(?:itself|it|(?:its|the) (?:total )?(?:length|word count|response|answer|reply|text|output|"
    r"summary|essay|length of the response))"
)
