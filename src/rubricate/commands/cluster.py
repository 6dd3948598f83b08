"""The part of `rubricate run` that works on a cluster: `engine=ray`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from rubricate.cluster.handout import Handout, Terms, no_shared_ledger
from rubricate.cluster.joining import Site, joined
from rubricate.cluster.messages import Charter
from rubricate.commands.progress import RunProgress
from rubricate.errors import SettingsError
from rubricate.llm.store import Place
from rubricate.runs.folder import RunFolder
from rubricate.runs.rubric_files import RubricFile
from rubricate.settings.casting import variables_of
from rubricate.settings.schema import Settings
from rubricate.settings.terms import budget_of, identity_of, ledger_place, prices_of, prompts_in_flight
from rubricate.settings.wiring import OwnLimits


@contextmanager
def joined_for(settings: Settings, env: Mapping[str, str]) -> Iterator[Site]:
    """The cluster of a run, joined.

    Raises:
        SettingsError, RunError: as `joined`; or its machines cannot share the ledger; or the run asks by
            batch, which is one client's work.
    """
    if settings.batch_roles:
        raise SettingsError(
            "api.mode is 'batch', which puts all questions into a few files: a cluster adds nothing to that; "
            "use engine=local, or api.mode=interactive"
        )
    with joined(settings.ray) as site:
        if isinstance(ledger_place(settings, env).at, Path) and site.foreign:
            raise no_shared_ledger(list(site.foreign))
        yield site


async def work_on(
    site: Site,
    folder: RunFolder,
    settings: Settings,
    env: Mapping[str, str],
    initial: RubricFile,
    console: Console,
) -> dict[str, Any]:
    """Works off what is owed on the cluster; what the session took, over all workers."""
    prices, place = prices_of(settings), ledger_place(settings, env)
    charter = Charter(
        settings=msgspec.structs.replace(settings, ledger=None),
        environment=_environment(settings, place, env),
        ledger=str(place.at.absolute() if isinstance(place.at, Path) else place),
        verdicts_up_to=folder.origin.verdicts_up_to,
        prices=prices,
        identity=identity_of(settings),
    )
    shares_ledger = not isinstance(place.at, Path)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    machines = "1 machine" if len(site.addresses) == 1 else f"{len(site.addresses)} machines"
    n_workers = "1 worker" if site.n_workers == 1 else f"{site.n_workers} workers"
    say(f"Ray: {n_workers} on a cluster of {machines}")
    if site.n_workers > site.room:
        say(f"there are CPUs for {site.room} of them at present; the others start when there are more")
    terms = Terms(
        charter=charter,
        limits=OwnLimits(settings.api, budget_of(settings, prices)),
        in_flight=prompts_in_flight(settings),
        told=lambda record: progress.add(record.state),
        say=say,
        shares_ledger=shares_ledger,
    )
    handout = Handout(folder, initial, terms, site)
    spent = lambda: (handout.counts.calls_paid, handout.counts.usd_paid)  # noqa: E731
    with RunProgress(console, len(folder.keys), spent, folder.n_done) as progress:
        await handout.work_off()
    return {**msgspec.structs.asdict(handout.counts), "usd_paid": round(handout.counts.usd_paid, 6)}


def _environment(settings: Settings, place: Place, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a worker reads, keys and the password of the ledger among them."""
    read = {name: env[name] for name in variables_of(settings) if name in env}
    if isinstance(place.at, Path):
        return read
    access = {"PGPASSWORD": place.at.password, "PGPASSFILE": place.at.passfile, "PGUSER": place.at.user}
    return read | {name: value for name, value in access.items() if value is not None}
