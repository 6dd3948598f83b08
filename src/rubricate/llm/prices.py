"""What tokens cost. A price that is not known is None, never 0 and never a guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.record import Step
from rubricate.errors import DataError
from rubricate.llm.chat import Usage

_MILLION = Decimal(1_000_000)

BATCH_FACTOR = Decimal("0.5")
"""What batch endpoints ask of the list price, where a table does not say otherwise: half, at OpenAI
(https://platform.openai.com/docs/guides/batch), Anthropic, Google, Mistral and Azure."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List price of one model in USD per million tokens.

    `cached_usd` is the price of the prompt tokens that the server had in its cache; None when the provider
    gives no discount. `source` names an entry of the table's `sources`. `batch_factor` is the share of the
    list price that the batch endpoint asks; None: that of the table.
    """

    prompt_usd: Decimal
    completion_usd: Decimal
    cached_usd: Decimal | None = None
    source: str = ""
    batch_factor: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("prompt_usd", "completion_usd", "cached_usd", "batch_factor"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                kind = "a share of the price" if name == "batch_factor" else "a price in USD"
                raise ValueError(f"{name} is {value}, and must be {kind}, 0 or more")

    def cost(self, usage: Usage) -> Decimal:
        """Exact price of one call in USD. Counts that no honest server gives (negative, or more cached
        than prompt tokens) never lower it below 0."""
        prompt, completion = max(usage.prompt_tokens, 0), max(usage.completion_tokens, 0)
        cached = min(max(usage.cached_tokens, 0), prompt)
        cached_usd = self.prompt_usd if self.cached_usd is None else self.cached_usd
        total = (prompt - cached) * self.prompt_usd + cached * cached_usd + completion * self.completion_usd
        return total / _MILLION


_FREE = Price(Decimal(0), Decimal(0))


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of prices by model name. `as_of` is the date on which they were known, as YYYY-MM-DD.

    `batch_factor` is the share of the list price that batch endpoints ask. `batch_steps` are the steps that
    a run asks by batch.
    """

    models: dict[str, Price] = {}
    as_of: str = ""
    sources: dict[str, str] = {}
    note: str = ""
    batch_factor: Decimal | None = None
    batch_steps: frozenset[Step] = frozenset()

    def __post_init__(self) -> None:
        if self.batch_factor is not None and not (self.batch_factor.is_finite() and self.batch_factor >= 0):
            raise ValueError(
                f"batch_factor is {self.batch_factor}, and must be a share of the price, 0 or more"
            )

    def of(self, model: str, *, by_batch: bool = False) -> Price | None:
        """The price of a model, None when unknown.

        The whole name is looked up first, then what is left of it after each slash, longest first:
        `openrouter/openai/gpt-4.1`, `openai/gpt-4.1`, `gpt-4.1`. No name is ever matched in part.
        """
        name = model
        while name:
            price = self.models.get(name)
            if price is not None:
                return self._by_batch(price) if by_batch else price
            name = name.partition("/")[2]
        return None

    def _by_batch(self, price: Price) -> Price:
        """The price at the batch endpoint. Prompt tokens from a cache cost as much there as others: OpenAI
        gives the two discounts together for some models only, and an estimate is not to be too low."""
        factor = next(f for f in (price.batch_factor, self.batch_factor, BATCH_FACTOR) if f is not None)
        return Price(
            price.prompt_usd * factor, price.completion_usd * factor, None, price.source, price.batch_factor
        )

    def cost(self, model: str, usage: Usage, step: Step | None = None) -> float | None:
        """What a call of a step cost in USD, None when the price of the model is unknown."""
        price = self.of(model, by_batch=step in self.batch_steps)
        return None if price is None else float(price.cost(usage))

    def with_batch(self, steps: Iterable[Step]) -> Prices:
        """The same table for a run that asks these steps by batch."""
        return msgspec.structs.replace(self, batch_steps=frozenset(steps))

    def with_free(self, models: Iterable[str]) -> Prices:
        """The same table in which these models cost nothing: the ones that run on the user's own machines."""
        return self._with(dict.fromkeys(models, _FREE))

    def overruled_by(self, other: Prices) -> Prices:
        """The same table, with the prices of `other` where it has any."""
        factor = self.batch_factor if other.batch_factor is None else other.batch_factor
        return msgspec.structs.replace(self._with(other.models), batch_factor=factor)

    def _with(self, models: Mapping[str, Price]) -> Prices:
        return msgspec.structs.replace(self, models={**self.models, **models})


def known_prices(path: Path | None = None) -> Prices:
    """The list prices that ship with rubricate, overruled by the user's file if there is one.

    The offline engine costs nothing. For models on one's own machines, see `with_free`.

    Raises:
        DataError: the user's file cannot be used; names the field.
    """
    shipped = files("rubricate.data").joinpath("prices.json").read_bytes()
    prices = msgspec.json.decode(shipped, type=Prices).with_free(["offline"])
    return prices if path is None else prices.overruled_by(read_prices(path))


def read_prices(path: Path) -> Prices:
    """The prices of a JSON or YAML file (by its ending) in the shape of the shipped table.

    Only `models` is needed: `{"models": {"my-model": {"prompt_usd": 0.1, "completion_usd": 0.4}}}`.

    Raises:
        DataError: the file cannot be read or has another shape; names the field.
    """
    table = _parsed(path)
    if not isinstance(table, dict) or not isinstance(table.get("models"), dict):
        raise DataError(path, "must be a mapping of model names to prices", field="models")
    models = {}
    for name, entry in table["models"].items():
        if not isinstance(name, str):
            raise DataError(path, f"the model name {name!r} must be text: put it in quotes", field="models")
        models[name] = _price(path, name, entry)
    if "batch_steps" in table:
        raise DataError(path, "is not for a file to say: see api.mode and batch.roles", field="batch_steps")
    try:
        return msgspec.convert({**table, "models": models}, Prices)
    except msgspec.ValidationError as error:
        raise DataError(path, f"{error}") from error


def _parsed(path: Path) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    is_yaml = path.suffix.lower() in {".yaml", ".yml"}
    try:
        return msgspec.yaml.decode(text) if is_yaml else msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise DataError(path, f"is not {'YAML' if is_yaml else 'JSON'}: {error}") from error


def _price(path: Path, name: str, entry: Any) -> Price:
    try:
        return msgspec.convert(entry, Price)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        raise DataError(path, problem, field=f"models.{name}{place.rstrip('`')}") from error
