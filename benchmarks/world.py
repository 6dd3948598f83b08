"""What the loop is worth where the truth is known: the simulated world, through the real refinement.

    python benchmarks/world.py [--units 480] [--sweep-units 120] [--jobs 2] [--write docs/world.md]
    python benchmarks/world.py --fresh 100000 [--units 480]

A unit is one prompt of one world (ten prompts per seed, each on a subject of its own). Every case of a table
is run on the same units, so differences between cases are paired. Intervals are of 95%, by bootstrap over
units. With --write the tables replace what stands between the marks in that file. With --fresh only the order
of the paper and the pair policies are measured, on units from that number on: other seeds than those on which
the dials' defaults and the defaults of the loop were chosen.

It proves plumbing and statistics, not the quality of any real model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
from world_cases import (
    GATES,
    PAPER,
    POLICIES,
    WORSE,
    Case,
    broken,
    crew_of,
    drop_cases,
    great,
    policy_cases,
    round_cases,
    size_cases,
    values_of,
    variations,
)

from rubricate.domain.intervals import Estimate, mean
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.meter import Meter
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.world.dials import Dials
from rubricate.world.server import WorldServer
from rubricate.world.world import World, WorldChat

MARKS = ("<!-- made by benchmarks/world.py -->", "<!-- end of what benchmarks/world.py made -->")


class Table:
    """The values of some cases on all units."""

    def __init__(self, cases: Sequence[Case], n_units: int, jobs: int, first: int = 0):
        self.cases, self.names = cases, [case.name for case in cases]
        units = range(first, first + n_units)
        with ProcessPoolExecutor(jobs) as pool:
            self._by_unit = list(pool.map(partial(values_of, cases=cases), units, chunksize=2))

    def column(self, name: str, field: str, round: int | None = None) -> list[float]:
        """One field of one case, per unit, after a round (None: after the last; a loop that ended earlier
        stays as it was)."""
        place = self.names.index(name)
        chosen = []
        for unit in self._by_unit:
            rounds = unit[place]
            chosen.append(getattr(rounds[-1 if round is None else min(round, len(rounds) - 1)], field))
        return chosen

    def estimate(self, name: str, field: str, round: int | None = None) -> Estimate:
        """Its mean with its interval."""
        value = mean(self.column(name, field, round))
        assert value is not None
        return value

    def gain(self, name: str, other: str, field: str) -> Estimate:
        """The mean of the paired difference of two cases."""
        pairs = zip(self.column(name, field), self.column(other, field), strict=True)
        value = mean([a - b for a, b in pairs])
        assert value is not None
        return value


def shown(value: Estimate, digits: int = 1, scale: float = 100.0, sign: bool = False) -> str:
    """`54.1 [52.0, 56.3]`."""
    plus = "+" if sign else ""
    said = f"{scale * value.value:{plus}.{digits}f}"
    if value.low is None or value.high is None:
        return said
    return f"{said} [{scale * value.low:{plus}.{digits}f}, {scale * value.high:{plus}.{digits}f}]"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def main_rows(table: Table, names: Sequence[str], *, cost: bool = True) -> list[str]:
    """The full table of some cases."""
    head = ["case", "tail, ties wrong", "tail, ties half", "ties", "regret", "low region", "criteria"]
    head += ["gradings", "accepted"] if cost else []
    rows = []
    for name in names:
        row = [name, *(shown(table.estimate(name, field)) for field in ("right", "half", "ties", "regret"))]
        row += [shown(table.estimate(name, "low")), f"{table.estimate(name, 'criteria').value:.1f}"]
        row += [f"{table.estimate(name, 'gradings').value:.1f}"] if cost else []
        row += [f"{table.estimate(name, 'accepted').value:.2f}"] if cost else []
        rows.append(row)
    return grid(head, rows)


def gain_rows(table: Table, steps: Sequence[tuple[str, str]]) -> list[str]:
    """Paired differences, in points."""
    head = ["step", "tail, ties wrong", "tail, ties half", "ties", "regret", "low region"]
    fields = ("right", "half", "ties", "regret", "low")
    rows = [
        [f"{name} minus {other}", *(shown(table.gain(name, other, field), sign=True) for field in fields)]
        for name, other in steps
    ]
    return grid(head, rows)


PAPER_STEPS = [
    ("1 good pair", "initial"),
    ("1 great pair", "1 good pair"),
    ("4 great pairs", "1 great pair"),
    ("4 great pairs", "4 good pairs"),
    ("4 great & diverse pairs", "4 great pairs"),
]


def break_rows(table: Table, names: Sequence[str]) -> list[str]:
    """Tail accuracy (ties wrong / ties half) of each case under each variation, and whether the order of the
    paper holds, with ties counting half: noise that breaks ties by chance is no gain then."""
    head = [
        "dials",
        *(case.name for case in PAPER),
        "good > initial",
        "great > good",
        "iterated > great",
        "diverse > iterated",
    ]
    rows = []
    for name in names:
        full = [f"{name}: {case.name}" for case in PAPER]
        row = [name]
        for each in full:
            wrong, half = (100 * table.estimate(each, field).value for field in ("right", "half"))
            row.append(f"{wrong:.1f} / {half:.1f}")
        for better, worse in ((1, 0), (2, 1), (4, 2), (5, 4)):
            gain = table.gain(full[better], full[worse], "half")
            row.append(verdict(gain))
        rows.append(row)
    return grid(head, rows)


def verdict(gain: Estimate) -> str:
    """A paired gain in points, and what its interval allows to say."""
    said = f"{100 * gain.value:+.1f}"
    if gain.low is not None and gain.low > 0:
        return f"{said} yes"
    if gain.high is not None and gain.high < 0:
        return f"{said} **no**"
    return f"{said} unclear"


def policy_steps() -> list[tuple[str, str]]:
    """What the gate and the judge change, policy by policy, and the policies against each other."""
    names = list(GATES)
    steps = [
        (f"{policy}, {better}", f"{policy}, {worse}")
        for policy in POLICIES
        for better, worse in ((names[1], names[0]), (names[2], names[1]), (names[3], names[1]))
    ]
    pairs = (("contested", "exclude_used"), ("exclude_used", "top2"))
    return [*steps, *((f"{one}, {gate}", f"{other}, {gate}") for one, other in pairs for gate in names[:2])]


ROUND_STEPS = [
    ("exclude_used, rounds 8", "exclude_used, rounds 4"),
    ("contested, rounds 8", "contested, rounds 4"),
    ("exclude_used, rounds 8", "contested, rounds 8"),
]
SIZE_STEPS = [
    ("exclude_used, responses 16", "exclude_used, responses 8"),
    ("exclude_used, responses 32", "exclude_used, responses 8"),
    ("contested, responses 16", "contested, responses 8"),
    ("contested, responses 4", "exclude_used, responses 4"),
    ("contested, responses 8", "exclude_used, responses 8"),
]


def round_rows(table: Table) -> list[str]:
    """Tail accuracy after each round of the longest runs."""
    head = ["policy", *(f"round {number}" for number in range(9))]
    rows = []
    for policy in POLICIES:
        name = f"{policy}, rounds 8"
        values = [table.estimate(name, "right", number) for number in range(9)]
        rows.append([policy, *(shown(value) for value in values)])
    return grid(head, rows)


def best_first(table: Table, names: Sequence[str]) -> list[str]:
    """Paired difference of every case to the best one."""
    ranked = sorted(names, key=lambda name: -table.estimate(name, "right").value)
    rows = [
        [
            name,
            shown(table.gain(name, ranked[0], "right"), sign=True),
            f"{table.estimate(name, 'gradings').value:.1f}",
        ]
        for name in ranked[1:]
    ]
    return [
        f"Best: **{ranked[0]}**. The others against it, in points of tail accuracy (paired):",
        "",
        *grid(["case", "difference", "gradings"], rows),
    ]


async def same_over_http(n_prompts: int) -> int:
    """How many records are byte for byte the same through the HTTP server as within the process."""
    world, case = World(seed=0), Case("x", great(8), 1, 3, "contested", True, True)
    rules = Rules(case.rounds, case.policy, case.gate)
    same = 0
    async with WorldServer(world) as server, HttpChat(Endpoint(server.base_url)) as http:
        for prompt in world.prompts(n_prompts):
            pool = world.pool(prompt, case.generators)
            near = await refine_prompt(pool, crew_of(case, WorldChat(world), Meter()), rules)
            far = await refine_prompt(pool, crew_of(case, http, Meter()), rules)
            same += msgspec.json.encode(near) == msgspec.json.encode(far)
    return same


def report(given: argparse.Namespace) -> list[str]:
    """All tables, as lines of Markdown."""
    started, n, few = time.monotonic(), given.units, given.sweep_units
    command = f"python benchmarks/world.py --units {n} --sweep-units {given.sweep_units}"
    lines = [f"`{command}`, {os.cpu_count()} cores.", ""]
    n_http = 8
    same = asyncio.run(same_over_http(n_http))
    lines += [f"Records that are byte for byte the same through the HTTP server: {same} of {n_http}.", ""]
    if same != n_http:
        raise SystemExit("the HTTP server and the process disagree")

    paper = Table(PAPER, n, given.jobs)
    names = [case.name for case in PAPER]
    lines += [f"### The order of the paper ({n} units)", "", *main_rows(paper, names), ""]
    lines += ["Paired differences:", "", *gain_rows(paper, PAPER_STEPS), ""]

    dials = variations()
    breaking = Table([case for name, each in dials.items() for case in broken(name, each)], few, given.jobs)
    lines += [f"### Where it breaks ({few} units)", "", *break_rows(breaking, list(dials)), ""]

    for crew, each in (("the usual crew", Dials()), ("a worse crew", WORSE)):
        policies = Table(policy_cases(each), few, given.jobs)
        lines += [f"### Pair policies and the gate, {crew} ({few} units, 16 responses, 4 rounds)", ""]
        lines += [*main_rows(policies, policies.names), "", *best_first(policies, policies.names), ""]
        lines += ["Paired differences:", "", *gain_rows(policies, policy_steps()), ""]

    rounds = Table(round_cases(), few, given.jobs)
    lines += [f"### Rounds ({few} units, 16 responses, gate on)", "", "Tail accuracy, ties wrong:", ""]
    lines += [*round_rows(rounds), "", *main_rows(rounds, rounds.names), ""]
    lines += ["Paired differences:", "", *gain_rows(rounds, ROUND_STEPS), ""]

    sizes = Table(size_cases(), few, given.jobs)
    lines += [f"### Responses ({few} units, 4 rounds, gate on)", "", *main_rows(sizes, sizes.names), ""]
    lines += ["Paired differences:", "", *gain_rows(sizes, SIZE_STEPS), ""]

    drops = Table(drop_cases(), few, given.jobs)
    lines += [
        f"### Dropping what both responses meet ({few} units, exclude_used, gate, 16 responses, 4 rounds)",
        "",
    ]
    lines += [*main_rows(drops, drops.names), ""]
    lines += [
        "Paired differences:",
        "",
        *gain_rows(drops, [(name, "drops 0") for name in drops.names[1:]]),
        "",
    ]
    return [*lines, f"All of it took {time.monotonic() - started:.0f} s."]


def fresh(given: argparse.Namespace) -> list[str]:
    """What was chosen by the other tables, on seeds that had no part in the choice."""
    first, n = given.fresh, given.units
    paper = Table(PAPER, n, given.jobs, first)
    lines = [f"`python benchmarks/world.py --fresh {first} --units {n}`", ""]
    lines += [f"### The order of the paper ({n} fresh units)", "", *main_rows(paper, paper.names), ""]
    lines += ["Paired differences:", "", *gain_rows(paper, PAPER_STEPS), ""]
    policies = Table(policy_cases(Dials()), n // 4, given.jobs, first)
    lines += [
        f"### Pair policies and the gate ({n // 4} fresh units)",
        "",
        *main_rows(policies, policies.names),
    ]
    return [*lines, "", "Paired differences:", "", *gain_rows(policies, policy_steps())]


def main() -> None:
    """Prints the tables, and writes them where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=480)
    parser.add_argument("--sweep-units", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--fresh", type=int, metavar="FIRST_UNIT")
    given = parser.parse_args()
    if given.fresh is not None:
        print("\n".join(fresh(given)))
        return
    text = "\n".join(report(given))
    print(text)
    if given.write:
        before, mark, rest = given.write.read_text(encoding="utf-8").partition(MARKS[0])
        _, end, after = rest.partition(MARKS[1])
        if not (mark and end):
            raise SystemExit(f"{given.write} has no place for the tables: {json.dumps(MARKS)}")
        given.write.write_text(f"{before}{mark}\n\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
