"""The phrases that state a constraint: "contains at least 3 bullet points", "is in all lowercase letters".

Each rule is a pattern that must match a whole phrase, and a function from the match to a constraint, or
to None after all. `statement` has the sentences that bring their own subject ("The word count is ...").
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rubricate.domain.checking.constraints import (
    Constraint,
    Count,
    Form,
    Is,
    Range,
)
from rubricate.domain.checking.fragments import (
    ANGULAR,
    BARE,
    BE,
    END,
    HAVE,
    IN_CASE,
    ITSELF,
    KIND,
    LIST,
    LOWER,
    MARK,
    NAMED,
    ONLY,
    OPTIONS,
    PUNCTUATED,
    QUANTIFIED,
    QUOTES,
    SAY,
    START,
    TEXT,
    TIMES,
    UPPER,
    WRAPPED,
)
from rubricate.domain.checking.meanings import (
    absent,
    around,
    character,
    counted,
    ends,
    exceeding,
    form,
    json_text,
    keywords,
    language,
    limited,
    listed,
    neither,
    options,
    paragraphs,
    postscript,
    sections,
    starts,
)
from rubricate.domain.checking.quantities import QUANTITY, SUFFIX, range_of
from rubricate.domain.checking.quoting import SIGN, SIGNS, Masked
from rubricate.domain.checking.units import UNIT, unit_of

Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Masked], Constraint | None]]


def phrase(text: str, quotes: Masked) -> Constraint | None:
    """The constraint that a phrase states of its subject: "contains no commas"."""
    return _first(_PHRASES, text, quotes)


def statement(text: str, quotes: Masked) -> Constraint | None:
    """The constraint that a sentence with a subject of its own states: "No commas are used"."""
    return _first(_STATEMENTS, text, quotes)


def _first(rules: tuple[Rule, ...], text: str, quotes: Masked) -> Constraint | None:
    for pattern, make in rules:
        match = pattern.fullmatch(text)
        if match and (constraint := make(match, quotes)) is not None:
            return constraint
    return None


_COUNT_RULES = (
    (
        rf"(?:{HAVE}|{BE}|runs?(?: to)?|keeps? to) ?(?:a (?:total|length|total length|maximum length) of "
        rf")?{QUANTIFIED}",
        counted,
    ),
    (
        rf"(?:{HAVE}|{BE}) (?P<none>no|any) (?P<unit>{UNIT})(?:,? (?:or|nor|and)(?: no| any)? "
        rf"(?P<unit2>{UNIT}))",
        neither,
    ),
    (
        rf"(?:presents?|gives?|shows?|provides?) (?:the |its |all )*(?:information|answer|results?|data|"
        rf"content|comparison|response|items|points) "
        rf"(?:in|as|using|with) (?:an? )?(?P<unit>{UNIT})",
        counted,
    ),
    (
        rf"{HAVE} an? (?P<unit>(?:numbered|ordered|bulleted|bullet) list) (?:with|of|containing|that has) "
        rf"(?P<quantity>{QUANTITY})"
        rf" (?:items?|points?|entries|steps|bullets|bullet points)(?P<suffix>{SUFFIX}?)",
        counted,
    ),
    (
        rf"{HAVE} an? (?:total )?(?P<unit>word|sentence|character|paragraph|line|bullet point|bullet) "
        rf"(?:count|total)"
        rf"(?: that is| of)? (?P<quantity>{QUANTITY})(?P<suffix>{SUFFIX}?)(?: (?:words|characters|sentences|"
        rf"lines))?",
        counted,
    ),
    (
        rf"(?:(?:is|are|be) (?:limited|capped|restricted|kept|held|confined)|limits? {ITSELF}|"
        rf"keeps? {ITSELF}) (?:to|at)? ?(?P<quantity>{QUANTITY}) (?P<unit>{UNIT})",
        limited,
    ),
    (
        rf"(?:exceeds?|goes over|go over|runs? over|goes beyond|go beyond|surpass(?:es)?) (?P<number>\d{{1,"
        rf"9}}) (?P<unit>{UNIT})(?: in length)?",
        exceeding,
    ),
    (
        rf"(?:{HAVE}|{BE}) (?:about |around |approximately |roughly )?(?P<number>\d{{1,9}}) "
        rf"(?P<unit>{UNIT})(?: long| in length)?,? ?"
        rf"\(?(?:±|\+/-|plus or minus|give or take|within) ?(?P<slack>\d{{1,6}}) ?(?:%|percent|words|"
        rf"characters)?\)?",
        around,
    ),
    (
        rf"{BE} within (?P<slack>\d{{1,6}}) ?(?:%|percent|words|characters)? of (?P<number>\d{{1,9}}) "
        rf"(?P<unit>{UNIT})",
        around,
    ),
    (
        rf"(?:{HAVE}|{BE}) (?P<quantity>{QUANTITY}) (?:paragraphs?|parts?),?(?: that are| which are)? "
        rf"(?:separated|divided)"
        r"(?: from each other)? (?:by|with|using) (?P<by>.{2,60})",
        paragraphs,
    ),
    (
        rf"(?:{HAVE}|{BE}) (?P<quantity>{QUANTITY}) sections?,? (?:(?:each|all|every one)(?: of (?:them|"
        rf"which))? )?(?:is |are )?(?:beginning|starting|begins|"
        rf"starts|marked|labell?ed|headed|introduced|titled|named)(?: at the beginning)?(?: with| by| as)? "
        rf"(?:the (?:word|label|heading) )?(?P<signs>{SIGN})"
        r"(?:,? (?:followed by|and|plus) (?:its|the|a)(?: section)? number)?",
        sections,
    ),
    (
        rf"(?:highlights?|highlighting|italici[sz]es|bolds|emphasi[sz]es) (?P<quantity>{QUANTITY}) "
        rf"(?:sections?|parts?|phrases?|pieces?|words?)"
        r"(?: of text)?(?: in the (?:response|answer|text))?(?: (?:in|with|using|by) (?:markdown|asterisks|"
        r"markdown emphasis|bold|italics))?",
        lambda match, quotes: Count("highlights", range_of(match["quantity"]) or Range(low=1)),
    ),
)
_WORD_RULES = (
    (rf"{SAY} (?:the )?(?:single )?(?:letter|character|symbol) (?P<signs>{SIGN})(?: {TIMES})?", character),
    (rf"{SAY} {LIST}(?:,? {TIMES})?", keywords),
    (rf"{SAY} {BARE}(?:,? {TIMES})?", keywords),
    (
        rf"{SAY} (?P<list>(?:(?:each|all) of )?(?:these|the following|the) (?:key ?)?words?): "
        rf"(?P<bare>[^\W\d_][\w'-]*(?:,? (?:and )?[^\W\d_][\w'-]*)*)",
        listed,
    ),
    (rf"{SAY} (?:no|none of) (?:instances? of |mentions? of |occurrences? of )?{LIST}", absent),
    (rf"{SAY} (?P<times>{QUANTITY}) (?:instances?|occurrences?|mentions?|uses?) of {LIST}", keywords),
    (
        rf"(?:{BE}|contains?|includes?|has|chooses|picks|selects|gives|uses|answers with|responds with|"
        rf"states) (?:(?P<whole>exactly|only|just|simply) )?1 of:? {OPTIONS}",
        options,
    ),
    (
        rf"{BE} (?:exactly |only |just |simply |either |the (?:word|phrase|text) |the single word "
        rf")*(?P<signs>{SIGNS})",
        lambda match, quotes: Is(quotes.texts_of(match["signs"])),
    ),
    (rf"{START} {TEXT}", starts),
    (rf"{START} the word (?P<bare>[^\W\d_][\w'-]*)", starts),
    (
        rf"{END} {TEXT}(?:,? (?:and|with) (?:no|nothing)(?: other| more)?(?: words?| text)? (?:after|"
        rf"following|follows|should follow) (?:it|this|this phrase))?",
        ends,
    ),
    (rf"{END} the word (?P<bare>[^\W\d_][\w'-]*)", ends),
    (
        rf"(?:{END}|{HAVE}|closes with) an? (?:explicit )?(?:postscript|post-script|ps|p\.s\.?)(?: at the "
        rf"end)?(?:,? (?:that )?(?:starting|starts|beginning|begins|"
        rf"marked|labell?ed|introduced|headed)(?: with| by| as)? (?:the (?:marker|keyword) "
        rf")?(?:(?P<signs>{SIGN})|{MARK}))?(?: at the end)?",
        postscript,
    ),
)
_FORM_RULES = (
    (rf"{IN_CASE}{LOWER}", form("lower case")),
    (
        rf"(?:uses?|contains?|has|ha(?:s|ve)) {ONLY}{LOWER}",
        lambda match, quotes: Form("lower case") if "only" in match[0] else None,
    ),
    (rf"{IN_CASE}{UPPER}", form("upper case")),
    (
        rf"(?:uses?|contains?|ha(?:s|ve)) {ONLY}{UPPER}",
        lambda match, quotes: Form("upper case") if "only" in match[0] else None,
    ),
    (rf"{IN_CASE}(?:lowercased|lower-cased)", form("lower case")),
    (
        rf"{IN_CASE}(?:uppercased|capitali[sz]ed)",
        lambda match, quotes: Form("upper case") if re.search("all|entire|full|complete", match[0]) else None,
    ),
    (rf"{IN_CASE}title case", form("title case")),
    (
        rf"(?:{BE}|{HAVE}|returns?|outputs?|produces?) (?:an? |only |entirely |wrapped |in |as |output |"
        rf"delivered |given |single )*(?:valid |well-formed |parseable |parsable )*json"
        r"(?: (?:object|array|format|string|document|output|text|code block))?(?: only)?(?: and nothing "
        r"else)?",
        json_text,
    ),
    (rf"{BE} parse?able as (?:valid )?json", json_text),
    (rf"(?:{BE} )?{WRAPPED} {QUOTES}", form("in quotes")),
    (
        r"(?:starts|begins) and ends with (?:a |an )?(?:double )?(?:quotation mark|quote mark|quote)s?",
        form("in quotes"),
    ),
    (
        rf"(?:{HAVE}) 2 (?:different |distinct |separate |alternative )*(?:responses|answers|versions|"
        rf"replies|"
        rf"outputs|options)"
        rf",? (?:that are )?(?:separated|divided) (?:only )?by (?:exactly )?(?:(?:6 )?asterisks?(?: symbols| "
        rf"characters)?|{SIGN}|\*{{6}})(?::? \(?\*{{6}}\)?|:? {SIGN})?",
        form("two responses"),
    ),
    (
        rf"(?:encloses|wraps|surrounds) (?:the |its )?(?:entire |whole )?(?:response|answer|reply|text|"
        rf"output) (?:in|with|by) {QUOTES}",
        form("in quotes"),
    ),
    (
        rf"(?:{HAVE}) an? title,? (?:that is |which is )?(?:{WRAPPED}|in|within|inside) {ANGULAR}",
        form("marked title"),
    ),
    (rf"{WRAPPED}s? (?:its|the|a) title (?:in|with|inside|within) {ANGULAR}", form("marked title")),
    (rf"(?:ha(?:s|ve)) (?:its|the|a) title (?:wrapped )?in {ANGULAR}", form("marked title")),
    *((rf"{END} {wording}", form(f"ends with {name}")) for name, wording in PUNCTUATED.items()),
    (rf"{START} {PUNCTUATED['question']}", form("starts with question")),
    (rf"{START} an? (?:capital|uppercase) letter", form("starts with capital")),
    (rf"{BE} (?:phrased as |formulated as |written as )?an? question", form("ends with question")),
    (
        rf"{BE} (?:in |written in )?plain text(?: only)?(?:,? (?:without|with no) (?:any )?markdown(?: "
        rf"formatting)?)?",
        lambda match, quotes: Count("markdown", Range(high=0)),
    ),
    (r"(?:uses|contains) (?:only )?ascii characters(?: only)?", form("ascii")),
    (
        rf"(?:{BE} )?(?:(?:written|composed|given|phrased|provided) )?{ONLY}in (?:the )?{NAMED}(?: "
        rf"language)?(?: only| alone|,? and no other language)?",
        language,
    ),
    (rf"(?:uses|speaks|employs) only (?:the )?{NAMED}(?: language| words)?", language),
    (
        rf"(?:responds|replies|answers|writes|communicates|respond|reply|answer|write) {ONLY}in (?:the "
        rf")?{NAMED}(?: language)?(?: only)?",
        language,
    ),
)
_OWN_SUBJECT = (
    (rf"{QUANTIFIED}", lambda match, quotes: counted(match, quotes) if match["quantity"] else None),
    (
        rf"(?:the |its )title (?:is|appears|should be) (?:{WRAPPED}|in|within) {ANGULAR}",
        form("marked title"),
    ),
    (
        rf"(?P<unit>word|sentence|character|paragraph|line) count: "
        rf"(?P<quantity>{QUANTITY})(?P<suffix>{SUFFIX}?)(?: words)?",
        counted,
    ),
    (rf"(?:there (?:is|are|should be|must be)|with) {QUANTIFIED}(?: used| present)?", counted),
    (
        rf"(?P<quantity>{QUANTITY}) (?:sections?|parts?|phrases?|words?) (?:is|are) (?:highlighted|bolded)"
        rf"(?: (?:in|with|using) (?:markdown|asterisks))?",
        lambda match, quotes: Count("highlights", range_of(match["quantity"]) or Range(low=1)),
    ),
    (
        r"paragraphs are (?:separated|divided) (?:by|with|using) (?:the )?(?:markdown divider )?\*{3}",
        lambda match, quotes: Count("divided paragraphs", Range(low=2)),
    ),
    (
        rf"there (?:are|should be|must be) (?P<quantity>{QUANTITY}) paragraphs?,? (?:separated|divided) "
        rf"(?:by|with|using) "
        rf"(?P<by>.{{2,60}})",
        paragraphs,
    ),
    (
        r"2 (?:different |distinct |separate )*(?:responses|answers) (?:is|are) given,? (?:separated|"
        r"divided) by (?:6 asterisks|\*{6})",
        form("two responses"),
    ),
    (
        r"(?:the |its )?(?:total )?(?P<unit>word|sentence|character|paragraph|line) count (?:does not|must "
        r"not|should not) "
        r"(?:exceed|go over) (?P<most>\d{1,9})(?: words| sentences| characters)?",
        lambda match, quotes: Count(unit_of(match["unit"]), Range(high=int(match["most"]))),
    ),
    (
        rf"(?:the )?(?:response|answer|text|output|reply) length (?:is|should be|must be|stays) {QUANTIFIED}",
        counted,
    ),
    (
        rf"(?:the |its )?(?:total |overall |final )?(?P<unit>word|sentence|character|paragraph|line) count "
        rf"(?:is|should be|must be|stays|remains|does not go)"
        rf" (?P<quantity>{QUANTITY})(?P<suffix>{SUFFIX}?)(?: words| sentences| characters| paragraphs| "
        rf"lines)?",
        counted,
    ),
    (
        rf"(?:the |its )?(?:total |overall )?(?:length|number) (?:of (?:the )?(?:response|answer|text|"
        rf"output|"
        rf"reply) )?(?:is|should be|must be|stays) {QUANTIFIED}",
        counted,
    ),
    (
        rf"the (?:total )?number of (?P<unit>{UNIT}) (?:is|should be|must be|does not fall) "
        rf"(?P<quantity>{QUANTITY})(?P<suffix>{SUFFIX}?)",
        counted,
    ),
    (
        rf"(?P<quantity>{QUANTITY}) (?P<unit>{UNIT}) (?:is|are|appears?|should be)(?: used| present| "
        rf"included| "
        rf"appear)?(?P<suffix>)",
        counted,
    ),
    (
        rf"(?P<unit>{UNIT}) (?:appears?|occurs?|(?:is|are) (?:used|present|included)) "
        rf"(?P<quantity>{QUANTITY}) "
        rf"times?(?P<suffix>{SUFFIX}?)",
        counted,
    ),
    (
        rf"(?P<unit>{UNIT}) (?:is|are) (?:not|never) (?:used|present|included)",
        lambda match, quotes: Count(unit_of(match["unit"]), Range(high=0)),
    ),
    (
        rf"(?:all|each|every)(?: of the)? (?:letters?|characters?|words?|text)(?: (?:is|are))? (?:in "
        rf")?{LOWER}",
        form("lower case"),
    ),
    (
        rf"(?:all|each|every)(?: of the)? (?:letters?|characters?|words?|text)(?: (?:is|are))? (?:in "
        rf")?{UPPER}",
        form("upper case"),
    ),
    (
        rf"(?:the )?(?:letter|character|symbol) (?P<signs>{SIGN}) (?:appears?|occurs?|(?:is|are) (?:used|"
        rf"present|included))(?: {TIMES})?",
        character,
    ),
    (
        rf"(?:each of |all of |both )?(?:these |the )?(?:following )?{KIND}:? (?P<signs>{SIGNS}),? "
        rf"(?:(?:each|"
        rf"all|both) )?(?:appears?|occurs?|(?:is|are) (?:used|present|included|mentioned|found))(?: "
        rf"{TIMES})?",
        keywords,
    ),
    (
        rf"(?P<signs>{SIGNS}) (?:(?:each|all|both) )?(?:appears?|occurs?|(?:is|are) (?:used|present|"
        rf"included|"
        rf"mentioned|found))(?: {TIMES})?",
        keywords,
    ),
    (
        rf"(?:(?:none of )?(?:these |the )?(?:following )?{KIND}:? )?(?P<signs>{SIGNS}) (?:does not|do not|"
        rf"never|(?:is|are) (?:not|never)) (?:appear|occur|used|present|included|mentioned|found)",
        absent,
    ),
    (
        rf"none of (?:these |the )?(?:following )?{KIND}:? (?P<signs>{SIGNS}) (?:appears?|occurs?|(?:is|"
        rf"are) "
        rf"(?:used|present|included|mentioned))",
        absent,
    ),
)

_PHRASES: tuple[Rule, ...] = tuple(
    (re.compile(pattern), make) for pattern, make in (*_COUNT_RULES, *_WORD_RULES, *_FORM_RULES)
)
_STATEMENTS: tuple[Rule, ...] = tuple((re.compile(pattern), make) for pattern, make in _OWN_SUBJECT)
