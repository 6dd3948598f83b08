"""prompt, rubric, pair -> better rubric: refinement through differentiation."""

from __future__ import annotations

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import chance_of
from rubricate.domain.rubric import Criterion, Rubric, with_decisive
from rubricate.llm.chat import Chat
from rubricate.steps.asking import Heard, Manner, ask_for, fill, framed, template, told, unheard
from rubricate.steps.propose import Repaired, pitfall_slots, read_rubric, rubric_schema


async def refine(
    chat: Chat,
    manner: Manner,
    prompt: Prompt,
    rubric: Rubric,
    pair: tuple[Response, Response],
    *,
    seed: int = 0,
    pitfalls: bool = False,
    repaired: Repaired = lambda: None,
    heard: Heard = unheard,
) -> Rubric:
    """The whole new rubric, meant to tell the two responses apart. One call, rarely two.

    Which response stands first is settled by the seed and the content, so that the better one is first in
    half of the cases (the official code always shows the higher scored one first). As in the paper the
    proposer sees neither scores nor verdicts. Weights are shown.
    Source: Chasing the Tail, section 4 and appendix B; the wording is ours.

    Raises:
        ReplyError: no valid rubric could be read.
        ChatError: the call failed for good.
    """
    first, second = in_fair_order(seed, prompt, pair)
    slots = pitfall_slots(pitfalls)
    if pitfalls:
        slots["pitfall_kind"] = ', "pitfall" (a specific error that would harm the user; met when it is made)'
    question = fill(
        template("refine"),
        {
            "prompt": framed("prompt", prompt.text),
            "rubric": framed("rubric", as_listed(rubric)),
            "first": framed("response", first.text),
            "second": framed("response", second.text),
            **slots,
        },
    )
    return await ask_for(
        chat,
        manner,
        told(question),
        rubric_schema(pitfalls),
        lambda reply: with_decisive(rubric, read_rubric(reply, repaired)),
        heard=heard,
    )


def in_fair_order(seed: int, prompt: Prompt, pair: tuple[Response, Response]) -> tuple[Response, Response]:
    """The pair in an order fixed by seed and content alone: swapping the two leaves it as it is."""
    first, second = sorted(pair, key=lambda response: response.key)
    if chance_of(seed, prompt.key, first.key, second.key) < 0.5:
        return first, second
    return second, first


def as_listed(rubric: Rubric) -> str:
    """The rubric as lines of `- [kind, weight w] text`; what is decisive says so behind its weight."""
    return "\n".join(
        f"- [{criterion.kind}, weight {abs(criterion.weight):g}{_decisive(criterion)}] {criterion.text}"
        for criterion in rubric.criteria
    )


def _decisive(criterion: Criterion) -> str:
    if not criterion.is_decisive:
        return ""
    return ", must-have" if criterion.weight > 0 else ", veto"
