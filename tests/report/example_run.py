"""A small run, made by hand: five prompts in all states, a pool of sixteen, and the texts of an enemy."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rubricate.domain.conversation import Pool, Prompt, Response, SetAside
from rubricate.domain.identity import chance_of
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.record import Decision, PromptRecord, Round, Spend, Standing
from rubricate.domain.rubric import Criterion, Lineage, Rubric
from rubricate.domain.scoring import ranked, top_tie_share
from rubricate.runs.standing import standing_of

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "]]></style></script><style>body{display:none}</style><!-- --><svg onload=alert(1)>",
    "{{ 7*7 }}{% for x in y %}{{ config }}{# gone #}",
    "\u202egnp.exe\u202c reversed, zero\u200bwidth, \u2066isolated\u2069, tag\U000e0041s, bell\x07, "
    "escape\x1b[31mred",
    "شكرا جزيلا على هذا السؤال الرائع. الجواب هو 42 (forty-two).\nNext line in English.",
    'javascript:alert(1) \' onmouseover=\'alert(1) " onfocus="alert(1)" autofocus',
    "x" * 10_000,
    '<link rel="stylesheet" href="http://attacker.invalid/x.css"><iframe src="http://attacker.invalid/"></iframe>',
    '<meta http-equiv="refresh" content="0;url=http://attacker.invalid/">👩‍👩‍👧 <base href="http://attacker.invalid/">',
)
"""What a model may write into a page to take it over, to hide, or to break it."""

CONFIG = """\
files:
  responses_file: pools/answers.jsonl
workflow:
  initial_responses_per_prompt: 16
  max_iterations: 4
  pair_policy: exclude_used
models:
  verifier: openai/gpt-4.1-mini
  rubric_generator: openai/gpt-4.1
gate:
  enabled: true
  judge: null
random_seed: 0
"""

GENERATORS = ("gpt-4o", "claude-3-5-sonnet", "Llama-3.1-70B-Instruct", "gemma-2-27b-it")


def rubric_of(*lines: tuple[str, float], kind: str = "principle", version: int = 0) -> Rubric:
    """A rubric of texts and weights; a negative weight makes a pitfall, a text in capitals a rule."""
    return Rubric(
        tuple(
            Criterion(
                f"c{number}", text, weight, "pitfall" if weight < 0 else "rule" if "at most" in text else kind
            )
            for number, (text, weight) in enumerate(lines, 1)
        ),
        version,
        Lineage("openai/gpt-4.1", version),
    )


def stand(rubric: Rubric, response: Response, marks: str) -> Standing:
    """The standing of marks as in the journal; a digit one marks what a program found met, a zero unmet."""
    verdicts = tuple(
        {
            "+": Verdict("met", "openai/gpt-4.1-mini"),
            "-": Verdict("unmet", "openai/gpt-4.1-mini"),
            "1": Verdict("met", "check"),
            "0": Verdict("unmet", "check"),
            "?": unjudged("the reply was cut off at 512 tokens", "openai/gpt-4.1-mini"),
        }[mark]
        for mark in marks
    )
    return standing_of(response.key, verdicts, rubric)


def standings(rubric: Rubric, responses: list[Response], marks: list[str]) -> tuple[Standing, ...]:
    """The standings of a pool, best first."""
    found = {r.key: stand(rubric, r, m) for r, m in zip(responses, marks, strict=True)}
    return tuple(found[key] for key in ranked({key: one.score for key, one in found.items()}))


def ties(found: tuple[Standing, ...]) -> float | None:
    return top_tie_share({standing.response: standing.score for standing in found})


def drawn_marks(rubric: Rubric, responses: list[Response], seed: int) -> list[str]:
    """Verdicts of a pool whose first responses are the best; rules are decided by a program."""

    def mark(place: int, criterion: Criterion) -> str:
        draw = chance_of(seed, place, criterion.text)
        if criterion.kind == "pitfall":
            return "+" if draw < 0.04 * place else "-"
        met = draw > 0.035 * place + 0.06 * (criterion.weight - 1) - 0.02
        if criterion.kind == "rule":
            return "1" if met else "0"
        return "?" if 0.5 < draw < 0.52 else "+" if met else "-"

    return ["".join(mark(place, c) for c in rubric.criteria) for place in range(len(responses))]


def refined() -> tuple[Pool, PromptRecord]:
    """A prompt whose rubric was refined twice in three rounds, with gold scores and a pitfall."""
    first = rubric_of(
        ("Explains that the tides come from the difference of the Moon's pull across the Earth", 3),
        ("Mentions the part of the Sun", 2),
        ("Says why there are two high tides a day and not one", 3),
        ("Uses at most 250 words", 1),
        ("Is understandable without school physics", 2),
    )
    second = rubric_of(
        *((c.text, c.weight) for c in first.criteria[:4]),
        ("Compares the two bulges in terms that a child can picture", 2),
        ("Tells spring tides and neap tides apart by the places of Sun and Moon", 2),
        ("Claims that the water is simply lifted by the Moon", -2),
        version=1,
    )
    third = rubric_of(
        *((c.text, c.weight) for c in second.criteria[:6] if c.text != "Mentions the part of the Sun"),
        ("Claims that the water is simply lifted by the Moon", -3),
        ("Says that the Sun's tide is a little less than half of the Moon's", 1),
        ("Names a place where the coast makes the tide far higher than in the open sea", 1),
        version=2,
    )
    bad = rubric_of(*((c.text, c.weight) for c in third.criteria[:3]), version=3)
    prompt = Prompt.of_text(
        "Why are there two tides a day? Answer for a curious twelve-year-old.", "tides-01"
    )
    body = (
        "The Moon pulls on the side of the Earth that faces it more strongly than on the centre, and on the "
        "centre more strongly than on the far side. So the near water runs a little ahead and the far water "
        "stays a little behind: two bulges, and the Earth turns through both of them every day."
    )
    responses = [
        Response(
            f"{body}\n\nTake {place}: " + "the Sun does the same, a little less than half as much. " * place,
            GENERATORS[place % 4],
            gold=round(7.9 - 0.31 * place + 0.4 * chance_of(1, place), 2),
        )
        for place in range(16)
    ]
    before = standings(first, responses, drawn_marks(first, responses, 3))
    middle = standings(second, responses, drawn_marks(second, responses, 3))
    final = standings(third, responses, drawn_marks(third, responses, 3))
    rounds = (
        played(
            1,
            first,
            before,
            second,
            "accepted",
            "separates the pair, 0.923 against 0.769",
            (0.923, 0.769),
            1 / 6,
        ),
        played(
            2,
            second,
            middle[2:],
            third,
            "accepted",
            "separates the pair, 0.857 against 0.786",
            (0.857, 0.786),
            0,
        ),
        played(
            3, third, final[4:], bad, "refused", "the new rubric ties the pair, both at 0.625", (0.625, 0.625)
        ),
    )
    record = PromptRecord(
        key="k1",
        id=prompt.id,
        prompt=prompt.key,
        state="refined",
        why="all 3 rounds were played",
        initial=first,
        rubric=third,
        rounds=rounds,
        standings=final,
        tie_share_before=ties(before),
        tie_share_after=ties(final),
        set_aside=(SetAside("tides-01", "response 17", "equal to response 3 of the same generator"),),
        spend={
            "grade": Spend(64, 81_230, 9_410, 40_000, 0.0403, 212, 96, 48, 3, 1),
            "propose": Spend(1, 412, 655, 0, 0.0061),
            "refine": Spend(3, 5_120, 2_210, 0, 0.0279),
        },
    )
    return Pool(prompt, tuple(responses), record.set_aside), record


def played(
    number: int,
    before: Rubric,
    found: tuple[Standing, ...],
    proposed: Rubric | None,
    decision: Decision,
    why: str,
    after: tuple[float | None, float | None] = (None, None),
    tie_share_after: float | None = None,
) -> Round:
    """A round on the best two of the standings."""
    return Round(
        number=number,
        before=before.key,
        standings=found,
        pair=(found[0].response, found[1].response),
        decision=decision,
        why=why,
        proposed=proposed,
        pair_scores_before=(found[0].score, found[1].score),
        pair_scores_after=after,
        tie_share_before=ties(found),
        tie_share_after=tie_share_after,
    )


def kept() -> tuple[Pool, PromptRecord]:
    """A prompt whose proposals were all refused, or could not be read; its pool has no gold."""
    rubric = rubric_of(
        ("Names three risks", 2), ("Is at most one page", 1), ("Says how likely each risk is", 3)
    )
    prompt = Prompt.of_text("What could go wrong when a small town buys its own power grid?", "grid-07")
    responses = [
        Response(f"Three risks come to mind, in order of weight. {n}", GENERATORS[n % 2]) for n in range(4)
    ]
    found = standings(rubric, responses, ["+1+", "+1+", "+0-", "??-"])
    worse = rubric_of(("Names three risks", 2), ("Is polite", 1))
    rounds = (
        played(1, rubric, found, worse, "refused", "ties more of the top: 100% after 33%", (1.0, 0.9), 1.0),
        played(
            2, rubric, found, None, "failed", "no new rubric: the reply was no JSON, not even on asking again"
        ),
    )
    spend = {"grade": Spend(4, 2_000, 400, 0, 0.0014, 12, 4, 4, 2), "refine": Spend(2, 900, 350, 0, 0.0046)}
    why = "no new rubric: the reply was no JSON, not even on asking again; all 2 rounds were played"
    record = PromptRecord(
        key="k2",
        id=prompt.id,
        prompt=prompt.key,
        state="kept",
        why=why,
        initial=rubric,
        rubric=rubric,
        rounds=rounds,
        standings=found,
        tie_share_before=ties(found),
        tie_share_after=ties(found),
        spend=spend,
    )
    return Pool(prompt, tuple(responses)), record


def failed() -> tuple[Pool, PromptRecord]:
    """A prompt that never had a rubric."""
    prompt = Prompt.of_text("Summarise the attached contract in one sentence.", "contract-3")
    pool = Pool(prompt, (Response("It leases a van for a year.", "gpt-4o"), Response("A lease.", None)))
    why = "the proposer's call failed for good: 429 after 600 s of tries"
    spend = {"propose": Spend(0)}
    return pool, PromptRecord("k3", prompt.id, prompt.key, "failed", why, spend=spend)


def ungraded() -> tuple[Pool, PromptRecord]:
    """A prompt refined unseen on the first two responses, as the official single round does."""
    first = rubric_of(("Gives a recipe", 1), ("Names the oven's temperature", 2))
    second = rubric_of(
        ("Gives a recipe", 1), ("Names the oven's temperature", 1), ("Weighs in grams", 2), version=1
    )
    prompt = Prompt.of_text("Bread, please.", "bread")
    pair = (
        Response("Flour, water, salt, time.", "gpt-4o"),
        Response("500 g flour, 350 g water, 230 C.", "gemma-2-27b-it"),
    )
    round = Round(
        1, first.key, (), (pair[0].key, pair[1].key), "accepted", "accepted unseen (no gate)", second
    )
    spend = {"propose": Spend(1, 120, 80, 0, None), "refine": Spend(1, 300, 90, 0, None)}
    record = PromptRecord(
        key="k4",
        id=prompt.id,
        prompt=prompt.key,
        state="refined",
        why="all rounds were played",
        initial=first,
        rubric=second,
        rounds=(round,),
        spend=spend,
    )
    return Pool(prompt, pair), record


def hostile() -> tuple[Pool, PromptRecord]:
    """A prompt all of whose texts try to break the page: prompt, ids, criteria, reasons, generators."""
    first = Rubric(
        (
            Criterion("c<1>", HOSTILE[0], 1),
            Criterion('"c2" onclick="x"', HOSTILE[1], 2),
            Criterion("c3", HOSTILE[3], -1, "pitfall"),
        )
    )
    second = Rubric((*first.criteria[:2], Criterion("c4", HOSTILE[4] + HOSTILE[5], 3)), 1)
    prompt = Prompt.of_text("\n".join(HOSTILE[:6]), "</summary><script>document.title='owned'</script>")
    responses = [Response(text, f"model<b>{n}</b>\u202e") for n, text in enumerate(HOSTILE)]
    verdicts = (Verdict("met"), unjudged(HOSTILE[5] + HOSTILE[0]), Verdict("unmet"))
    before = tuple(standing_of(r.key, verdicts, first) for r in responses)
    final = tuple(standing_of(r.key, verdicts, second) for r in responses)
    rounds = (played(1, first, before, second, "accepted", HOSTILE[1]),)
    aside = (SetAside(prompt.id, HOSTILE[7], HOSTILE[3]),)
    record = PromptRecord(
        "k5", prompt.id, prompt.key, "refined", HOSTILE[2], first, second, rounds, final, None, None, aside
    )
    return Pool(prompt, tuple(responses), aside), record


EXAMPLE = (refined, kept, failed, ungraded, hostile)


def write_run(folder: Path, *made: tuple[Pool, PromptRecord], config: str = CONFIG) -> Path:
    """A run folder with these prompts, as a finished run leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    encode = msgspec.json.encode
    (folder / "pool.jsonl").write_bytes(b"".join(encode(pool) + b"\n" for pool, _ in made))
    (folder / "journal.jsonl").write_bytes(b"".join(encode(record) + b"\n" for _, record in made))
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    return folder
