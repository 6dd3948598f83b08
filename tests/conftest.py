"""What every room of the suite shares."""

from hypothesis import settings

# No deadline: how long an example takes depends on who else uses the machine.
settings.register_profile("suite", deadline=None, max_examples=50)
settings.load_profile("suite")
