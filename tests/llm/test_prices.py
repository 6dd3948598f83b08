"""Prices: exact, never guessed, and a bad file says where it is bad."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Message
from rubricate.errors import DataError, RunStopped
from rubricate.llm.budget import Budget, BudgetChat
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.prices import Price, Prices, known_prices, read_prices
from rubricate.llm.scripted import ScriptedChat

counts = st.integers(0, 10**7)


def test_a_published_price_is_applied_to_every_kind_of_token():
    """Cost is prompt, cached and completion tokens, each at its own price; reasoning is completion."""
    usage = Usage(
        prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000, reasoning_tokens=9
    )
    assert known_prices().cost("gpt-4.1", usage) == 0.6 * 2 + 0.4 * 0.5 + 0.5 * 8


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("openai/gpt-4.1", "gpt-4.1"),
        ("openrouter/openai/gpt-4.1", "gpt-4.1"),
        ("acme/gpt-4.1", "acme/gpt-4.1"),
        ("router/acme/gpt-4.1", "acme/gpt-4.1"),
        ("gpt-4.1-turbo", None),
        ("my-gpt-4.1", None),
        ("gpt-4", None),
        ("GPT-4.1", None),
        ("openai/", None),
        ("", None),
    ],
)
def test_a_name_is_matched_whole_or_after_a_slash_and_never_in_part(asked, found):
    """The longest known ending after a slash counts; a likeness does not."""
    table = Prices({"gpt-4.1": Price(Decimal(2), Decimal(8)), "acme/gpt-4.1": Price(Decimal(1), Decimal(1))})
    assert table.of(asked) == (None if found is None else table.models[found])


def test_an_unknown_price_is_none_and_not_zero():
    """Models that many hosts sell at different prices are left out of the table."""
    for model in ("deepseek-r1", "glm-4p5", "mistral-medium-latest", "no-such-model"):
        assert known_prices().cost(model, Usage(10, 10)) is None


def test_own_machines_cost_nothing():
    """The offline engine is free, and so is what the user says is local; nothing else becomes free."""
    prices = known_prices().with_free(["qwen3-8b"])
    assert prices.cost("offline", Usage(10, 10)) == 0
    assert prices.cost("local/qwen3-8b", Usage(10, 10)) == 0
    assert prices.cost("qwen3-32b", Usage(10, 10)) is None


@given(counts, counts, counts, counts)
def test_cost_is_exact(prompt, completion, cached, extra):
    """The cost of a sum is the sum of the costs, to the last digit."""
    price = Price(Decimal("0.1"), Decimal("0.7"), Decimal("0.025"))
    first, second = Usage(prompt + cached, completion, cached), Usage(extra, extra, 0)
    assert price.cost(first + second) == price.cost(first) + price.cost(second)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_no_count_of_a_server_earns_money(prompt, completion, cached):
    """A cost is never negative, and never above that of the same tokens uncached."""
    price = Price(Decimal(2), Decimal(8), Decimal("0.5"))
    cost = price.cost(Usage(prompt, completion, cached))
    assert 0 <= cost <= price.cost(Usage(prompt, completion, 0))


def test_without_a_discount_cached_tokens_cost_what_others_do():
    """gpt-4o-2024-05-13 has no price for cached tokens."""
    prices = known_prices()
    assert prices.cost("gpt-4o-2024-05-13", Usage(1000, 0, 900)) == prices.cost(
        "gpt-4o-2024-05-13", Usage(1000)
    )


def test_the_shipped_table_says_when_and_where():
    """Every price names a source that the table explains, and the table has a date."""
    prices = known_prices()
    assert len(prices.as_of) == 10
    assert {price.source for name, price in prices.models.items() if name != "offline"} == set(prices.sources)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.json", '{"models": {"gpt-4.1": {"prompt_usd": 1, "completion_usd": 0.3}}}'),
        ("mine.yaml", "models:\n  gpt-4.1: {prompt_usd: 1, completion_usd: 0.3}\n"),
    ],
)
def test_the_users_file_overrules_the_table(tmp_path: Path, name, text):
    """JSON and YAML alike; what the file does not name keeps its price."""
    (tmp_path / name).write_text(text)
    prices = known_prices(tmp_path / name)
    assert prices.of("openai/gpt-4.1") == Price(Decimal(1), Decimal("0.3"))
    assert prices.of("gpt-4.1-mini") == known_prices().of("gpt-4.1-mini")


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("{", None, "is not JSON"),
        ("[]", "models", "mapping"),
        ('{"models": []}', "models", "mapping"),
        ('{"models": {"m": 3}}', "models.m", "object"),
        ('{"models": {"m": {"prompt_usd": 1}}}', "models.m", "completion_usd"),
        ('{"models": {"m": {"prompt_usd": -1, "completion_usd": 1}}}', "models.m", "prompt_usd is -1"),
        ('{"models": {"m": {"prompt_usd": "cheap", "completion_usd": 1}}}', "models.m.prompt_usd", "decimal"),
        ('{"models": {"m": {"prompt_usd": 1, "completion_usd": 1, "cache": 1}}}', "models.m", "cache"),
        ('{"models": {}, "currency": "EUR"}', None, "currency"),
    ],
)
def test_a_bad_file_of_prices_names_the_field(tmp_path: Path, text, field, said):
    """File and field stand in the error, and what was wrong."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_prices(path)
    assert (caught.value.path, caught.value.field) == (str(path), field)


@pytest.mark.parametrize(
    "text", ["models: {a: {prompt_usd: .inf, completion_usd: 1}}", "models: {3: {}}", "a: ["]
)
def test_bad_yaml_is_refused_too(tmp_path: Path, text):
    """Infinite prices, numbers for names, broken syntax."""
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"prices\.yaml"):
        read_prices(path)


def test_a_missing_file_is_said(tmp_path: Path):
    """Not the shipped prices in silence."""
    with pytest.raises(DataError, match="cannot be read"):
        known_prices(tmp_path / "none.json")


class TestBatches:
    """What a batch costs: a share of the list price, with no discount for what a cache served."""

    TABLE = Prices({"m": Price(Decimal(2), Decimal(8), Decimal("0.5"))})
    USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)

    def test_half_by_hand(self):
        """Alone: 0.6 * 2 + 0.4 * 0.5 + 0.5 * 8 = 5.4 dollars. By batch: 1 * 1 + 0.5 * 4 = 3."""
        assert self.TABLE.cost("m", self.USAGE) == 5.4
        assert self.TABLE.with_batch(["grade"]).cost("m", self.USAGE, "grade") == 3.0
        assert self.TABLE.with_batch(["grade"]).cost("m", self.USAGE, "propose") == 5.4
        assert self.TABLE.with_batch(["grade"]).cost("n", self.USAGE, "grade") is None

    @pytest.mark.parametrize(
        ("table", "model", "cost"),
        [(None, None, 3.0), ("0.25", None, 1.5), ("0.25", "0.75", 4.5), (None, "0", 0.0), ("1", None, 6.0)],
    )
    def test_the_factor_is_the_models_else_the_tables(self, table, model, cost):
        """A factor of 1 still gives no discount for cached tokens."""
        price = msgspec.structs.replace(self.TABLE.models["m"], batch_factor=model and Decimal(model))
        prices = Prices({"m": price}, batch_factor=table and Decimal(table)).with_batch(["grade"])
        assert prices.cost("m", self.USAGE, "grade") == cost

    def test_a_users_file_says_another_factor(self, tmp_path):
        """For all models, the shipped ones included; a factor that is no share is refused by its name."""
        path = tmp_path / "prices.json"
        path.write_text('{"models": {}, "batch_factor": 0.25}')
        price = known_prices(path).of("gpt-4.1", by_batch=True)
        assert price is not None and price.prompt_usd == known_prices().of("gpt-4.1").prompt_usd / 4
        for wrong in ('{"models": {}, "batch_factor": -1}', '{"models": {}, "batch_steps": ["grade"]}'):
            path.write_text(wrong)
            with pytest.raises(DataError, match="batch_"):
                read_prices(path)

    async def test_the_budget_reserves_and_settles_the_price_of_batches(self):
        """A limit that two single calls would pass lets four by batch through."""
        request = Request("m", (Message("user", "x"),), max_tokens=100_000)
        spent = []
        for by_batch in (False, True):
            budget = Budget(self.TABLE, max_cost_usd=1.7)
            reply = Reply("y", usage=Usage(1, 100_000))
            chat = BudgetChat(ScriptedChat(lambda request, reply=reply: reply), budget, by_batch=by_batch)
            for _ in range(2 if not by_batch else 4):
                await chat.ask(request)
            with pytest.raises(RunStopped):
                await chat.ask(request)
            spent.append(budget.spent_usd)
        assert spent == [pytest.approx(1.600004), pytest.approx(1.600004)]
