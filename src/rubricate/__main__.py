"""`python -m rubricate`, which is how other programs start this one: `accelerate launch -m rubricate ...`."""

from __future__ import annotations

from rubricate.cli import main

if __name__ == "__main__":
    main()
