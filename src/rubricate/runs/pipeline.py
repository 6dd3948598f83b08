"""ALL prompts through the refinement: bounded, resumable, counted, without a barrier between stages.

A prompt that is done makes room for the next one, whatever the others are waiting for. Every prompt of the
input ends in the journal in exactly one state; what stops the run as a whole leaves its prompts owed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.domain.record import PromptRecord
from rubricate.domain.rubric import Rubric
from rubricate.errors import AccountError, ChatError, ReplyError
from rubricate.llm.meter import Meter
from rubricate.llm.prices import Prices
from rubricate.runs.dataset import write_dataset
from rubricate.runs.folder import DATASET, RUBRICS, SCORES, RunFolder
from rubricate.runs.intake import Intake
from rubricate.runs.outputs import write_rubrics, write_scores
from rubricate.runs.places import LocalFolder
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.runs.rubric_files import RubricFile
from rubricate.steps.asking import gathered
from rubricate.steps.crew import Crew

Memory = dict[str, Verdict]


@dataclass(frozen=True)
class Plant:
    """What a run works with.

    `crew` gives the roles of one prompt, counted by its meter, with a memory for its verdicts. `remember`
    stores the verdicts of a finished prompt for later runs, those of programs excepted: they cost nothing,
    and other runs may not want them. `fill_up` samples responses for a pool that has too few; None: pools
    stay as they are.
    """

    crew: Callable[[Meter, Memory], Crew]
    rules: Rules
    prices: Prices
    remember: Callable[[Mapping[str, Verdict]], Awaitable[None]]
    fill_up: Callable[[Pool, Meter], Awaitable[Pool]] | None = None
    prompts_in_flight: int = 64


def record_keys(intake: Intake, identity: str, initial: RubricFile) -> list[str]:
    """The key of each prompt's record, by place: pool, settings, and the rubric it starts from.

    `identity` is the content key of all settings that shape a result.
    """
    keys = []
    for pool in intake:
        start = initial.of(pool.prompt)
        keys.append(key_of("record", pool.key, identity, start.key if start else None))
    return keys


async def work_off(
    folder: RunFolder,
    plant: Plant,
    initial: RubricFile,
    told: Callable[[PromptRecord], None] = lambda record: None,
) -> None:
    """Works off every owed prompt of the folder; `told` hears of each one as it is finished.

    At most `plant.prompts_in_flight` prompts are in memory at a time.

    Raises:
        RunStopped: the budget is spent or the circuit is open; the prompts in flight stay owed.
        RunError: the journal or the ledger cannot be written.
    """
    keys = folder.keys
    owed = iter([place for place, key in enumerate(keys) if folder.journal.is_owed(key)])

    async def worker() -> None:
        for place in owed:
            # Filled up anew from the input: what was drawn before is in the ledger, failed draws are owed.
            pool = folder.pool(place) if plant.fill_up is None else folder.intake[place]
            record = await finish(plant, pool, initial.of(pool.prompt), folder.add_sampled)
            folder.journal.add(msgspec.structs.replace(record, key=keys[place]))
            told(record)

    await gathered(worker() for _ in range(min(plant.prompts_in_flight, max(1, len(keys)))))


async def finish(
    plant: Plant, pool: Pool, initial: Rubric | None, sampled: Callable[[Pool], None]
) -> PromptRecord:
    """The record of one prompt, whatever becomes of it, its key still to be set; its verdicts are
    remembered. `sampled` is given the pool that was filled up."""
    meter, memory = Meter(), Memory()
    try:
        if not pool.prompt.text.strip():
            raise ReplyError("the prompt is empty")
        if plant.fill_up is not None:
            pool = await plant.fill_up(pool, meter)
            sampled(pool)
        record = await refine_prompt(pool, plant.crew(meter, memory), plant.rules, initial)
    except AccountError:
        raise
    except (ReplyError, ChatError) as failure:
        record = PromptRecord(
            key="",
            id=pool.prompt.id,
            prompt=pool.prompt.key,
            state="failed",
            why=str(failure),
            initial=initial,
            rubric=initial,
            set_aside=pool.set_aside,
        )
    # First the verdicts, then the line: who is stopped in between replays and stores them again.
    await plant.remember({key: memory[key] for key in sorted(memory) if memory[key].by != "check"})
    return msgspec.structs.replace(record, spend=meter.spend(plant.prices))


def write_outputs(folder: RunFolder, rows_per_shard: int | None = None) -> None:
    """Puts the journal in input order and writes rubrics and scores, as JSON Lines and as a dataset (in one
    file, or in shards of so many rows)."""
    folder.journal.put_in_order(folder.keys)
    write_rubrics(folder.finished(), folder.path / RUBRICS)
    write_scores(folder.finished(), folder.path / SCORES)
    write_dataset(folder.finished(), LocalFolder(folder.path / DATASET), rows_per_shard)
