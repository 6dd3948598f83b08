"""docs/trust.md: the audit of the offline engine's rubrics, beside longer is better and random.

    python benchmarks/trust.py [--prompts N] [--write]

For `alpacaeval16_dev` and `bon16_dev` in ../shared/data beside the repository it makes a rubric for each
prompt and refines it on pairs of its own best responses, as `benchmarks/offline_engine.py` does, scores every
response under the first and under the final rubric, and audits both. Neither the proposer nor the grader sees
who wrote a response or its gold score. `--write` puts the tables into docs/trust.md and the pictures into
docs/images; both hold sums only, and no text of a response.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

from offline_engine import refine_pool, rows_of, scores_under_first

from rubricate.commands.audit import AuditOrder, run_audit
from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.evaluation.audit.auditing import Audit, audit
from rubricate.evaluation.reading.columns import Wanted
from rubricate.evaluation.reading.reader import read_scored
from rubricate.report.audits.charts import charts_of
from rubricate.report.lines import figure

DOCS = Path(__file__).resolve().parents[1] / "docs"
STEMS = ("alpacaeval16_dev", "bon16_dev")
MADE = re.compile(r"(<!-- made by benchmarks/trust.py: (\w+) -->\n).*?(<!-- end -->)", re.S)


def scored_rows(stem: str, n_prompts: int | None) -> Iterator[dict[str, object]]:
    """The rows of a data file with the scores of the first and of the final rubric beside each gold."""
    for row in (rows_of(stem) or [])[:n_prompts]:
        texts = tuple(Response(response["response"]) for response in row["responses"])
        pool = Pool(Prompt.of_text(row["prompt"], row["id"]), texts)
        first, (_, final) = scores_under_first(pool), refine_pool(pool)
        for response, before, after in zip(row["responses"], first, final, strict=True):
            yield {
                "prompt_id": row["id"],
                "response": response["response"],
                "generator": response["generator"],
                "reference_score": response.get("reference_score"),
                "first rubric": before,
                "final rubric": after,
            }


def audited(path: Path) -> tuple[str, Audit]:
    """What the command prints on a file of scored rows, and the audit itself."""
    proxies = ("first rubric", "final rubric")
    wanted = Wanted(proxies=proxies, duplicates="keep")
    console = Console(file=io.StringIO(), width=200, highlight=False)
    run_audit(AuditOrder(path, wanted, compare=(proxies[::-1],)), console)
    printed: str = console.file.getvalue()  # type: ignore[attr-defined]
    printed = printed.replace(str(path), path.name)
    return printed, audit(read_scored(path, wanted), origin=path.name)


def main() -> None:
    """Print the audits; with --write, put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=None, help="only the first N prompts of each file")
    parser.add_argument("--write", action="store_true", help="write docs/trust.md and docs/images")
    options = parser.parse_args()
    blocks = dict[str, str]()
    for stem in STEMS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{stem}.jsonl"
            rows = [json.dumps(row) for row in scored_rows(stem, options.prompts)]
            if not rows:
                continue
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
            printed, found = audited(path)
        print(printed)
        blocks[stem] = f"```text\n{printed.rstrip()}\n```\n"
        if options.write:
            for name, chart in charts_of(found).items():
                (DOCS / "images" / f"{stem}-{name}.svg").write_text(figure(chart), encoding="utf-8")
    if options.write:
        page = (DOCS / "trust.md").read_text(encoding="utf-8")
        page = MADE.sub(lambda found: found[1] + blocks.get(found[2], "") + found[3], page)
        (DOCS / "trust.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
