"""Criteria that a program decides: which wordings are claimed, and what they mean."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.domain.checks import decide, is_decidable

# criterion, a text that meets it, a text that does not
DECIDED = [
    ("The response contains fewer than 5 words.", "one two three four", "one two three four five"),
    ("The response is at most five words long", "one two three four five", "one two three four five six"),
    ("Is the response under 5 words?", "one two three four", "one two three four five"),
    ("The answer should be between 2 and 3 words in length.", "one two", "one"),
    ("The word count is at least three", "one two three", "one two"),
    ("The response does not exceed 3 words.", "one two three", "one two three four"),
    ("Limits the response to 3 words.", "one two", "one two three four"),
    ("At most 3 words.", "a b c", "a b c d"),
    ("The response is 100 words (±10%).", "word " * 95, "word " * 80),
    ("The response contains at least 2 sentences.", "Dr. Ames left. He ran.", "Dr. Ames left e.g. by bus."),
    ("The response is a single sentence.", "Only this.", "This. And that."),
    ("The response consists of exactly two paragraphs.", "One.\n\nTwo.", "One.\n\nTwo.\n\nThree."),
    ("The response has exactly 2 paragraphs separated by the markdown divider ***.", "a\n***\nb", "a\n\nb"),
    ("Uses no more than two bullet points", "- a\n- b", "- a\n- b\n* c"),
    ("The response contains exactly 2 markdown bullet points.", "* a\n* b", "* a"),
    ("Contains a numbered list with at least 2 items.", "1. a\n2. b", "1. a"),
    ("Includes a code block.", "See:\n```py\nx = 1\n```", "x = 1"),
    ("Presents the information in a markdown table.", "| a | b |\n|---|---|\n| 1 | 2 |", "a, b"),
    ("Contains at least two headings.", "# One\ntext\n## Two", "# One"),
    ("Includes exactly 2 hashtags.", "#sun #sea", "#sun"),
    ("The response contains no emojis.", "fine", "fine \U0001f600"),
    ("The response contains no commas.", "a and b", "a, b"),
    ("Avoids using commas.", "a and b", "a, b"),
    ("The response doesn't use exclamation points.", "Yes.", "Yes!"),
    ("Does not contain bullet points.", "plain", "- a"),
    ("Contains no headings or bullet points.", "plain", "# a"),
    ("Includes the keyword 'tide' at least twice", "Tide and tide.", "One tide."),
    ('The word "sarah" appears fewer than 2 times in the response.', "Sarah sat.", "Sarah and Sarah."),
    ('Mentions "moon" and "tide".', "The moon makes tides.", "The moon."),
    ("Contains all of the following keywords: moon, tide.", "moon tide", "moon"),
    ('The response does not use any of these words: "die", "bark".', "It died, barking.", "They die."),
    ('Does not use the word "very".', "every day", "very good"),
    ('The phrase "in conclusion" is not used.', "So it ends.", "In conclusion, it ends."),
    ("The letter 'z' appears at least 2 times", "Zigzag", "zero"),
    ("Words written in all capital letters appear at least 2 times.", "THE END", "The END"),
    ('The response starts with "Dear".', '"Dear Ann, hello', "Hello, dear Ann"),
    ('The response does not start with "Sure".', "Here it is", "Sure, here"),
    ('The response ends with the exact phrase: "So be it."', "Well. So be it.", "So be it, then."),
    ("Ends with a question", "What now?", "That is all."),
    ("The response is written entirely in lowercase.", "all small", "Not small"),
    ("The response is in English and in all capital letters.", "THIS IS IT", "This is it"),
    (
        "The entire response is written in German.",
        "Das ist ein Haus und es ist sehr schön.",
        "This is a house.",
    ),
    ("Responds only in Russian.", "Это дом, и он не на горе.", "This is a house and it is big."),
    ("The output is formatted as a JSON object.", '{"a": [1]}', "[1]"),
    ("The entire response is valid JSON.", "```json\n[1]\n```", "Here: [1]"),
    ("The entire response is wrapped in double quotation marks.", '"All of it."', 'Not "all" of it.'),
    ("Contains a title wrapped in double angular brackets, such as <<title>>.", "<<Tides>>\nText", "Tides"),
    ("Contains at least 2 placeholders in square brackets, such as [address].", "[a] and [b]", "[a]"),
    (
        "The response highlights at least 2 sections in markdown, i.e. *highlighted section*.",
        "*a* **b**",
        "*a*",
    ),
    ('The response ends with a postscript starting with "P.S.".', "Bye.\nP.S. Write!", "Bye."),
    ("Gives two different answers separated by six asterisks (******).", "a\n******\nb", "a\n******\na"),
    (
        'Has at least 2 sections, each beginning with "Part" followed by its number.',
        "Part 1 a\nPart 2 b",
        "Part 1",
    ),
    ('Contains one of the fixed options: "Yes.", "No."', "My answer: yes.", "Perhaps."),
    ('The response is either "yes" or "no".', "Yes.", "Yes and no."),
    ("Each sentence has at most 3 words.", "One two three. Four.", "One two three four. Five."),
    ("No bullet point is longer than 2 words.", "- a b\n- c", "- a b c"),
    ("The last sentence is a question.", "I see. Do you?", "Do you? I see."),
    ('The second paragraph starts with the word "but".', "One.\n\nBut two.", "But one.\n\nTwo."),
    (
        'Has exactly 2 paragraphs separated by blank lines, and paragraph 2 starts with the word "it".',
        "A.\n\nIt b.",
        "It.",
    ),
    (
        'First repeats the request word for word, before the answer: "Say "hi" now."',
        'Say "hi" now. Hi.',
        "Hi.",
    ),
]

# One half, or all, of these is beyond a program; nothing of them may be claimed.
FREE = [
    "Is under 200 words and explains tides.",
    "Explains the difference between sets and lists.",
    "Contains at least 3 examples of mammals.",
    "The response contains at least 3 bullet points, such as ones about health.",
    "Has at least 3 bullet points about health.",
    "The response is approximately 200 words.",
    "The response is concise.",
    'Mentions the "Big Bang" theory\'s evidence.',
    'Explains the term "entropy".',
    "States that the answer is 42.",
    "Contains no factual errors.",
    "It is free of errors.",
    "Ends with a question that invites discussion.",
    "Ends with a call to action.",
    "The response includes links to sources.",
    "Includes a table comparing costs.",
    "Uses simple words.",
    "The response is written in a formal style.",
    'Explains in English what "hola" means.',
    "The summary states that: There is a series of photos",
    "",
    "???",
    "\ue000",
]


@pytest.mark.parametrize(("criterion", "meets", "fails"), DECIDED, ids=[case[0] for case in DECIDED])
def test_a_decidable_wording_decides_both_sides(criterion: str, meets: str, fails: str) -> None:
    """A claimed criterion is met by the text that does what it says and unmet by the one that does not."""
    assert is_decidable(criterion)
    assert decide(criterion, "", meets) is True
    assert decide(criterion, "", fails) is False


@pytest.mark.parametrize("criterion", FREE)
def test_what_a_program_cannot_wholly_decide_is_not_claimed(criterion: str) -> None:
    """A claim means that the whole criterion is decided."""
    assert not is_decidable(criterion)
    assert decide(criterion, "a prompt", "a response") is None


@pytest.mark.parametrize(
    ("criterion", "response"),
    [
        ("Each bullet point is under 12 words.", "no bullets here"),
        ("The response is written in French.", "12345"),
        ("The response is in all lowercase letters.", "123 + 4"),
        ("The response repeats the prompt word for word before answering.", "Tell me a thing: here it is"),
    ],
)
def test_a_claimed_criterion_may_stay_undecided_here(criterion: str, response: str) -> None:
    """Where a response gives nothing to decide by, the answer is None and the claim stands."""
    assert is_decidable(criterion)
    assert decide(criterion, "Tell me a tale about tides.", response) is None


GRAMMAR = (
    "the response contains at least most exactly no 3 five words bullet points \" ' and , . ( ) "
    "not does"
    "each sentence starts ends with in french json <<title>> *** is appears times \ue000 fewer "
    "than"
)


@given(
    criterion=st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from(GRAMMAR.split()),
            max_size=14,
        ).map(" ".join),
    ),
    prompt=st.text(max_size=60),
    first=st.text(max_size=200),
    second=st.text(max_size=200),
)
@settings(max_examples=150, deadline=None)
def test_the_claim_depends_on_the_criterion_alone_and_nothing_raises(
    criterion: str, prompt: str, first: str, second: str
) -> None:
    """Whatever the texts are, deciding gives True, False or None, and never for what is not claimed."""
    claimed = is_decidable(criterion)
    for response in (first, second):
        said = decide(criterion, prompt, response)
        assert said in (True, False, None)
        assert claimed or said is None
    assert is_decidable(criterion) == claimed


@pytest.mark.parametrize(
    "filler", ["<<", "*", "[", ". ", "a.", "\n", "  ", "|-", "_a", "- ", "***", '"', "1) ", "#"]
)
def test_long_and_lopsided_responses_are_decided_in_linear_time(filler: str) -> None:
    """No pattern of a measure runs away on a long run of one sign: half a megabyte ends in moments."""
    text = filler * (500_000 // len(filler))
    for criterion in (
        "Contains a title wrapped in double angular brackets.",
        "The response contains at least 3 sentences.",
        "The response contains a table.",
        "The response highlights at least 3 sections in markdown.",
        "Contains no markdown formatting.",
        "Contains at least 3 placeholders in square brackets.",
        "Has exactly 3 paragraphs.",
        'Ends with "x y".',
    ):
        assert decide(criterion, "", text) in (True, False)


def test_a_long_criterion_is_not_read() -> None:
    """The grammar is for criteria, not for essays; what is longer is not claimed and costs nothing."""
    assert not is_decidable("contains no commas and " * 400)


@pytest.mark.parametrize(
    "criterion",
    [
        "contains " + "a " * 190,
        '"a", ' * 700,
        "the response contains " + "no fewer than " * 26,
        "is in english and " * 6 + "x",
        "contains exact " + "exact " * 60,
        "(a" * 190,
        "x, i.e. " * 50,
        "9" * 390,
    ],
)
def test_no_wording_makes_the_grammar_run_away(criterion: str) -> None:
    """Reading a criterion, whoever wrote it, takes a moment at most."""
    started = time.process_time()
    is_decidable(criterion)
    assert time.process_time() - started < 2
