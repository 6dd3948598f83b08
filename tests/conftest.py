"""What every room of the suite shares."""

import os

from hypothesis import settings

# No deadline: how long an example takes depends on who else uses the machine. The same examples every time,
# so that a red run is red again; `make fuzz` looks for new ones.
settings.register_profile("suite", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=500)
settings.load_profile("fuzz" if os.environ.get("RUBRICATE_FUZZ") else "suite")
