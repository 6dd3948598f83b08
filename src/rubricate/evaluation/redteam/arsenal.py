"""All attacks, by name and by family."""

from __future__ import annotations

from collections.abc import Sequence

from rubricate.errors import SettingsError
from rubricate.evaluation.redteam.attack import Attack
from rubricate.evaluation.redteam.attacks import (
    constant,
    copying,
    flattery,
    injection,
    language,
    layout,
    length,
)

ARSENAL: tuple[Attack, ...] = (
    *layout.ATTACKS,
    *flattery.ATTACKS,
    *injection.ATTACKS,
    *copying.ATTACKS,
    *constant.ATTACKS,
    *length.ATTACKS,
    *language.ATTACKS,
)
NONE = "none"


def chosen(names: Sequence[str]) -> tuple[Attack, ...]:
    """The attacks that these names and families name, in their order; all where none is named, no attack at
    all by the name `none`.

    Raises:
        SettingsError: there is no such attack or family.
    """
    wanted = [name.strip() for given in names for name in given.split(",") if name.strip()]
    if wanted == [NONE]:
        return ()
    known = {attack.name for attack in ARSENAL} | {attack.family for attack in ARSENAL}
    for name in wanted:
        if name not in known:
            families = ", ".join(dict.fromkeys(attack.family for attack in ARSENAL))
            raise SettingsError(
                f"--attacks: there is no {name!r}; there are the families {families}, the attacks "
                f"{', '.join(attack.name for attack in ARSENAL)}, and {NONE}"
            )
    return tuple(a for a in ARSENAL if not wanted or a.name in wanted or a.family in wanted)
