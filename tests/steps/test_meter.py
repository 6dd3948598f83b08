"""What a prompt took, told the same whoever answered first."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.record import Spend, Step
from rubricate.errors import Unavailable
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import Price, Prices
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.asking import told

PRICES = Prices(
    {"a": Price(Decimal("0.1"), Decimal("0.3")), "b": Price(Decimal("3"), Decimal("7"), Decimal("1"))}
)
steps: st.SearchStrategy[Step] = st.sampled_from(["propose", "grade", "refine"])
counts = st.integers(0, 10**6)
calls = st.lists(
    st.tuples(steps, st.sampled_from(["a", "b", "unknown"]), st.builds(Usage, counts, counts, counts)),
    max_size=12,
)


@given(calls, st.randoms(use_true_random=False))
def test_totals_do_not_depend_on_the_order_of_arrival(
    arrived: list[tuple[Step, str, Usage]], random: Random
) -> None:
    """To the last bit, and steps stand in the order of their names."""
    shuffled = list(arrived)
    random.shuffle(shuffled)
    spends = []
    for order in (arrived, shuffled):
        meter = Meter()
        for step, model, usage in order:
            meter.add_call(step, model, usage)
            meter.count(step, verdicts_asked=2)
        spends.append(meter.spend(PRICES))
    assert spends[0] == spends[1]
    assert list(spends[0]) == list(spends[1]) == sorted(spends[0])
    assert sum(spend.calls for spend in spends[0].values()) == len(arrived)
    assert sum(spend.prompt_tokens for spend in spends[0].values()) == sum(
        u.prompt_tokens for _, _, u in arrived
    )
    for step, spend in spends[0].items():
        models = {model for about, model, _ in arrived if about == step}
        assert (spend.cost_usd is None) == ("unknown" in models)


def test_by_hand() -> None:
    """Two models in one step; one price unknown makes the cost of its step unknown, and of no other."""
    meter = Meter()
    meter.add_call("grade", "a", Usage(1_000_000, 0))
    meter.add_call("grade", "b", Usage(1_000_000, 1_000_000, 500_000))
    meter.add_call("propose", "unknown", Usage(5, 6))
    meter.count("judge", repaired=1)
    assert meter.spend(PRICES) == {
        "grade": Spend(2, 2_000_000, 1_000_000, 500_000, 0.1 + 1.5 + 0.5 + 7),
        "judge": Spend(repaired=1, cost_usd=0.0),
        "propose": Spend(1, 5, 6, 0, None),
    }


def test_costs_of_three_models_add_up_in_one_order() -> None:
    """Floats do not: 0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1."""
    prices = Prices(
        {name: Price(Decimal(cost), Decimal(0)) for name, cost in (("a", "0.1"), ("b", "0.2"), ("c", "0.3"))}
    )
    costs = set()
    for models in ("abc", "cba", "bca"):
        meter = Meter()
        for model in models:
            meter.add_call("grade", model, Usage(1_000_000))
        costs.add(meter.spend(prices)["grade"].cost_usd)
    assert len(costs) == 1


async def test_replies_are_counted_and_failures_are_not() -> None:
    """A call without a reply took nothing that anybody could bill."""
    answers: list[Reply | None] = [Reply("x", usage=Usage(3, 4)), None]

    def answer(request: Request) -> Reply:
        reply = answers.pop(0)
        if reply is None:
            raise Unavailable("down")
        return reply

    meter = Meter()
    chat = MeteredChat(ScriptedChat(answer), meter, "grade")
    assert (await chat.ask(Request("a", told("?")))).text == "x"
    with pytest.raises(Unavailable):
        await chat.ask(Request("a", told("?")))
    assert meter.spend(PRICES)["grade"].calls == 1
