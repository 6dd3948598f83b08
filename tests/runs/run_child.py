"""A process with everything imported that forks one run after the other: what the tests break and kill.

Reads one JSON object a line, `{"arguments": [...], "cwd": ..., "env": {...}, "die_at": n or null}`, forks a
process that runs `rubricate` with these arguments, says `{"pid": ...}` at once and `{"code": ...}` when it is
gone (negative: the signal). What the command printed is in `out.txt` of its folder.

With `die_at` the process vanishes, without any farewell, just before its n-th write: a commit of the ledger,
a file that is opened for writing, a rename, a new folder. `{"code": 77}` says that it did.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from typing import Any

DIED = 77


def main() -> None:
    _import_all()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(order)
        _say({"pid": pid})
        _say({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


def _import_all() -> None:
    import aiohttp  # noqa: F401
    import pyarrow.parquet

    import rubricate.commands.run  # noqa: F401
    from rubricate.settings.loading import load_settings

    load_settings("iterative")
    pyarrow.Table.from_pylist([{"id": "p"}])  # imports pandas where there is one


def _say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def _run(order: dict[str, Any]) -> None:
    from rubricate.cli import main as command

    os.chdir(order["cwd"])
    os.environ.update(order["env"])
    told = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(told, 1)
    os.dup2(told, 2)
    sys.argv = ["rubricate", *order["arguments"]]
    if order.get("die_at") is not None:
        _die_at(order["die_at"], order["cwd"])
    code: Any = 1
    try:
        command()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _die_at(n: int, cwd: str) -> None:
    from rubricate.llm.sqlite import file as sqlite_file

    count = itertools.count(1)

    def write() -> None:
        if next(count) == n:
            os._exit(DIED)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int):
            is_ours = isinstance(arguments[0], str) and "workflow_outs" in arguments[0]
            if is_ours and arguments[2] & (os.O_WRONLY | os.O_RDWR):
                write()
        elif event in ("os.rename", "os.mkdir", "os.truncate", "os.remove", "sqlite3.connect"):
            write()

    sys.addaudithook(watch)
    commit = sqlite_file.SqliteFile.commit

    def counted(self: Any, batch: Any) -> None:
        write()
        commit(self, batch)

    sqlite_file.SqliteFile.commit = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
