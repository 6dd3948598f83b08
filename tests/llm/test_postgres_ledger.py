"""The ledger in PostgreSQL: what only a server can do to it, and what it says then."""

import asyncio
import pickle
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.errors import DataError, RubricateError, RunError, SettingsError
from rubricate.llm.chat import Reply
from rubricate.llm.postgres import schema
from rubricate.llm.postgres.address import Address
from rubricate.llm.postgres.ledger import PostgresLedger
from rubricate.llm.postgres.link import Link
from rubricate.llm.postgres.survey import survey
from rubricate.llm.store import Place
from tests.postgres_server import PASSWORD, PostgresServer

INSTEAD = "or keep replies on this machine with ledger=workflow_outs/ledger.sqlite"


def a_key(*parts: object) -> str:
    return key_of("test", *parts)


@pytest.fixture
def address(postgres_server: PostgresServer, database: str) -> Address:
    return Address.parse(postgres_server.url(database))


@asynccontextmanager
async def superuser(server: PostgresServer, database: str) -> AsyncIterator[Any]:
    import asyncpg

    connection = await asyncpg.connect(
        host=str(server.folder), port=server.port, user="tester", database=database
    )
    try:
        yield connection
    finally:
        await connection.close()


async def said_on_opening(address: Address, kind: type[RubricateError]) -> str:
    with pytest.raises(kind) as caught:
        async with PostgresLedger(address):
            pass
    text = str(caught.value)
    assert PASSWORD not in text and "\n" not in text
    return text


class TestAddress:
    def test_the_password_is_kept_apart(self):
        """It is in no text and no repr; the rest of the URL stands as it was written."""
        for written in (
            "postgresql://ann:s%40cret@db.example:6543/rubrics?sslmode=require&schema=mine",
            "postgres://ann@db.example:6543/rubrics?sslmode=require&password=s%40cret&schema=mine",
        ):
            address = Address.parse(written)
            assert address.password == "s@cret"
            assert address.schema == "mine"
            assert str(address) == "postgresql://ann@db.example:6543/rubrics?sslmode=require&schema=mine"
            for shown in (repr(address), repr(Place(address)), str(Place(address)), address.told):
                assert "cret" not in shown
            assert pickle.loads(pickle.dumps(Place(address))).at.password == "s@cret"
            assert Place(address).without_secret().at.password is None

    @pytest.mark.parametrize(
        "written",
        [
            "postgresql://u:hu/nter2@h/db",
            "postgresql://u:hu?nter2@h/db",
            "postgresql://u:1?hu=nter2@h/db",
            "postgresql://u:hu#nter2@h/db",
            "postgresql://u:1#hunter2@h/db",
            "postgresql://u:hunter2@h:99999/db",
            "postgresql://u:hunter2@h:port/db",
            "postgresql://u:hunter2@h/db?schema",
            "postgresql://u:hunter2@h/db?port=hunter2",
            "postgresql://u:hunter2@h/db?schema=a.b",
            "postgresql://u:hunter2@h/db?sslpassword=hunter2",
            "postgresql:hunter2",
            "mysql://u:hunter2@h/db",
        ],
    )
    def test_a_wrong_url_is_refused_without_being_repeated(self, written):
        """A password that was written without care makes the URL another one: said, and not shown."""
        with pytest.raises(ValueError) as caught:
            Place.parse(written)
        assert "nter2" not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__

    @pytest.mark.parametrize(
        ("written", "told"),
        [
            ("postgresql:///db", "PostgreSQL at this machine, database db"),
            ("postgresql:///db?host=/run/pg", "PostgreSQL at /run/pg, database db"),
            ("postgresql://a:1,b:2/db", "PostgreSQL at a:1,b:2, database db"),
            ("postgresql://u@[::1]:5432/db", "PostgreSQL at [::1]:5432, database db"),
            ("postgresql://h", "PostgreSQL at h, database of the same name as the user"),
        ],
    )
    def test_the_shapes_of_libpq(self, written, told):
        """Unix sockets, several hosts, IPv6, no database: understood, and told by host and database."""
        address = Address.parse(written)
        assert str(address) == written
        assert address.told == told

    def test_the_environment_lends_its_password_to_the_place_it_was_given_for(self):
        """The password of RUBRICATE_LEDGER goes to that very place only; PGPASSWORD as everywhere."""
        place, known = Place.parse("postgresql://u@h/db"), Place.parse("postgresql://u:pw@h/db")
        assert place.with_access({}, known).at.password == "pw"
        assert place.with_access({"PGPASSWORD": "other"}, known).at.password == "pw"
        assert place.with_access({"PGPASSWORD": "other"}).at.password == "other"
        assert Place.parse("postgresql://u@elsewhere/db").with_access({}, known).at.password is None
        assert known.with_access({"PGPASSWORD": "other"}).at.password == "pw"


class TestOpening:
    async def test_a_wrong_password_and_a_missing_one(self, postgres_server, database):
        """Each with its own remedy."""
        wrong = Address.parse(postgres_server.url(database, password="not-it"))
        said = await said_on_opening(wrong, SettingsError)
        assert said.startswith(
            f"ledger: PostgreSQL at 127.0.0.1:{postgres_server.port}, database {database}, "
        )
        assert "correct the user or the password" in said and said.endswith(INSTEAD)
        none = Address.parse(postgres_server.url(database, password=None))
        assert "give the password in PGPASSWORD" in await said_on_opening(none, SettingsError)

    async def test_a_password_file_serves(self, postgres_server, database, tmp_path):
        """As libpq reads it."""
        passfile = tmp_path / "pgpass"
        passfile.write_text(f"127.0.0.1:{postgres_server.port}:*:tester:{PASSWORD}\n")
        passfile.chmod(0o600)
        address = Address.parse(postgres_server.url(database, password=None))
        async with PostgresLedger(address.with_access({"PGPASSFILE": str(passfile)})) as ledger:
            assert await ledger.watermark() == 0

    async def test_no_such_database_and_nobody_there(self, postgres_server):
        """Named, with the remedy and the embedded store offered."""
        said = await said_on_opening(Address.parse(postgres_server.url("nothing")), SettingsError)
        assert "database nothing, does not exist" in said and said.endswith(INSTEAD)
        said = await said_on_opening(Address.parse("postgresql://u:x@127.0.0.1:1/db"), RunError)
        assert "PostgreSQL at 127.0.0.1:1, database db, cannot be reached" in said and said.endswith(INSTEAD)

    async def test_a_user_without_rights(self, postgres_server, database, address):
        """May not make the schema; may not write into it; may do both: each is found out at opening."""
        async with superuser(postgres_server, database) as boss:
            user = f"user_{database}"
            await boss.execute(f"CREATE USER \"{user}\" PASSWORD 'pw'")
            poor = Address.parse(postgres_server.url(database, user=user, password="pw"))
            try:
                said = await said_on_opening(poor, SettingsError)
                assert "does not let this user write" in said and said.endswith(INSTEAD)
                async with PostgresLedger(address):
                    pass
                await said_on_opening(poor, SettingsError)
                await boss.execute(f'GRANT USAGE ON SCHEMA rubricate TO "{user}"')
                await boss.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA rubricate TO "{user}"')
                said = await said_on_opening(poor, SettingsError)
                assert "reply (insert)" in said and "fact (update)" in said and "reply (select)" not in said
                await boss.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA rubricate TO "{user}"')
                await boss.execute(f'GRANT ALL ON ALL SEQUENCES IN SCHEMA rubricate TO "{user}"')
                async with PostgresLedger(poor) as ledger:
                    await ledger.keep_verdicts({a_key(1): Verdict("met")})
                    assert await ledger.claim(a_key(1))
            finally:
                await boss.execute(f'DROP OWNED BY "{user}"; DROP USER "{user}"')

    async def test_a_read_only_server_is_refused(self, postgres_server, database, address):
        """Before anything is paid for."""
        async with superuser(postgres_server, database) as boss:
            await boss.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
        assert "is read-only" in await said_on_opening(address, SettingsError)

    async def test_a_database_that_holds_not_every_text_is_refused(self, postgres_server, database):
        """Created in an encoding other than UTF8."""
        name = f"{database}_latin"
        async with superuser(postgres_server, "postgres") as boss:
            await boss.execute(f"CREATE DATABASE \"{name}\" ENCODING 'LATIN1' TEMPLATE template0")
            said = await said_on_opening(Address.parse(postgres_server.url(name)), SettingsError)
            assert "is encoded in LATIN1" in said and "createdb --encoding=UTF8" in said
            await boss.execute(f'DROP DATABASE "{name}"')

    async def test_a_crowded_server_is_waited_for(self, postgres_server, database, address, monkeypatch):
        """And said when it stays crowded."""
        monkeypatch.setattr("rubricate.llm.postgres.link._OPENING_S", 0.3)
        async with superuser(postgres_server, database) as boss:
            await boss.execute("CREATE USER crowd PASSWORD 'pw' CONNECTION LIMIT 0")
            crowded = Address.parse(postgres_server.url(database, user="crowd", password="pw"))
            try:
                assert "has no free connection" in await said_on_opening(crowded, RunError)
                await boss.execute(f'GRANT CREATE ON DATABASE "{database}" TO crowd')
                monkeypatch.setattr("rubricate.llm.postgres.link._OPENING_S", 20)
                opening = asyncio.create_task(PostgresLedger(crowded).__aenter__())
                await asyncio.sleep(0.3)
                assert not opening.done()
                await boss.execute("ALTER USER crowd CONNECTION LIMIT 5")
                await (await asyncio.wait_for(opening, 15)).__aexit__(None, None, None)
            finally:
                await boss.execute("DROP OWNED BY crowd; DROP USER crowd")


class TestSchema:
    async def test_an_older_format_is_brought_up_to_date(
        self, postgres_server, database, address, monkeypatch
    ):
        """What was kept in the tables of the first format is there in those of today."""
        with monkeypatch.context() as then:
            then.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
            then.setattr(schema, "_LACKING", "SELECT 1 AS what WHERE false")
            then.setattr("rubricate.llm.postgres.claims.Claims.prepare", lambda *_: asyncio.sleep(0))
            async with PostgresLedger(address) as ledger:
                await ledger.keep_reply(a_key(1), Reply("old"), "m")
        async with superuser(postgres_server, database) as boss:
            assert await boss.fetchval("SELECT version FROM rubricate.format") == 1
            assert await boss.fetchval("SELECT to_regclass('rubricate.claim')") is None
            async with PostgresLedger(address) as ledger:
                assert await ledger.reply(a_key(1)) == Reply("old")
                assert await ledger.claim(a_key(1))
            assert await boss.fetchval("SELECT version FROM rubricate.format") == len(schema.MIGRATIONS)

    async def test_a_migration_that_fails_leaves_nothing_half_done(
        self, postgres_server, database, address, monkeypatch
    ):
        """The step before it is taken back too."""
        steps = (*schema.MIGRATIONS[:1], "CREATE TABLE half (x integer); SELECT 1 / 0")
        with monkeypatch.context() as then:
            then.setattr(schema, "MIGRATIONS", steps)
            assert "division by zero" in await said_on_opening(address, RunError)
        async with superuser(postgres_server, database) as boss:
            assert await boss.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'rubricate'") == 0

    async def test_a_newer_format_is_refused_politely(self, postgres_server, database, address):
        """With both format numbers and what to do; also by doctor's look."""
        async with PostgresLedger(address):
            pass
        async with superuser(postgres_server, database) as boss:
            await boss.execute("UPDATE rubricate.format SET version = 99")
        said = await said_on_opening(address, DataError)
        assert f"newer rubricate (ledger format 99, this one reads {len(schema.MIGRATIONS)}): upgrade" in said
        with pytest.raises(DataError, match="newer"):
            await survey(address)

    @pytest.mark.parametrize("table", ["reply (x integer)", "format (x integer)"])
    async def test_another_programs_tables_are_left_alone(self, postgres_server, database, table):
        """In a schema that is not ours nothing is added."""
        async with superuser(postgres_server, database) as boss:
            await boss.execute(f"CREATE TABLE public.{table}")
            address = Address.parse(postgres_server.url(database, query="schema=public"))
            assert "tables of another program" in await said_on_opening(address, DataError)
            tables = await boss.fetch(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            )
            assert [row["relname"] for row in tables] == [table.split(" ")[0]]

    async def test_schemas_of_one_database_keep_apart(self, postgres_server, database):
        """Replies, numbers of verdicts and claims."""
        one, other = (
            Address.parse(postgres_server.url(database, query=f"schema={name}"))
            for name in ("one", "Other_2")
        )
        async with PostgresLedger(one) as ledger, PostgresLedger(other) as stranger:
            await ledger.keep_reply(a_key(1), Reply("x"), "m")
            await ledger.keep_verdicts({a_key(1): Verdict("met")})
            assert await stranger.reply(a_key(1)) is None and await stranger.watermark() == 0
            assert await ledger.claim(a_key(1)) and await stranger.claim(a_key(1))

    async def test_a_look_makes_nothing(self, postgres_server, database, address):
        """None where no ledger is yet; the counts where one is."""
        assert await survey(address) is None
        async with superuser(postgres_server, database) as boss:
            assert await boss.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'rubricate'") == 0
        async with PostgresLedger(address) as ledger:
            await asyncio.gather(*(ledger.keep_reply(a_key(n), Reply("x"), "m") for n in range(3)))
            await ledger.keep_verdicts({a_key(1): Verdict("met")})
        found = await survey(address)
        assert (found.replies, found.verdicts) == (3, 1) and found.n_bytes > 0


class TestBreaks:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
    async def test_a_server_that_restarts_is_waited_for(self, postgres_server, database, address, number):
        """In the middle of writing: every caller is served, what was acknowledged before is there, and so is
        what was on its way; claims are held as before."""
        async with PostgresLedger(address) as ledger, PostgresLedger(address) as other:
            kept: set[int] = set()

            async def keep(n: int) -> None:
                assert await ledger.keep_reply(a_key(n), Reply(str(n)), "m") == Reply(str(n))
                kept.add(n)

            await asyncio.gather(*(keep(n) for n in range(100)))
            assert await ledger.claim(a_key("mine"))
            writing = [asyncio.create_task(keep(n)) for n in range(100, 400)]
            reading = [asyncio.create_task(ledger.reply(a_key(n))) for n in range(100)]
            await asyncio.to_thread(postgres_server.stop, number)
            at_the_stop = set(kept)
            late = asyncio.create_task(keep(400))
            refused = asyncio.create_task(other.claim(a_key("mine")))
            await asyncio.to_thread(postgres_server.start)
            await asyncio.wait_for(asyncio.gather(*writing, *reading, late), 30)
            assert all(task.result() is not None for task in reading)
            assert not await other.claim(a_key("mine")) or await refused
            assert ledger.failure is None
        async with PostgresLedger(address) as ledger:
            replies = await asyncio.gather(*(ledger.reply(a_key(n)) for n in range(401)))
        assert replies == [Reply(str(n)) for n in range(401)]
        assert at_the_stop <= set(range(401))

    async def test_a_session_that_is_thrown_out_keeps_its_claims(self, postgres_server, database, address):
        """An administrator ends the connections: the ledger comes back as the same claimant."""
        async with PostgresLedger(address) as ledger, superuser(postgres_server, database) as boss:
            keys = [a_key(n) for n in range(20)]
            assert all(await asyncio.gather(*(ledger.claim(key) for key in keys)))
            await boss.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rubricate'"
            )
            assert await ledger.reply(keys[0]) is None  # the next word opens another connection
            async with PostgresLedger(address) as other:
                assert not any(await asyncio.gather(*(other.claim(key) for key in keys)))

    async def test_what_was_taken_over_meanwhile_is_not_taken_back(self, postgres_server, database, address):
        """Another claimed it in the pause, and pays for it now; the rest is claimed anew."""
        async with PostgresLedger(address) as ledger, superuser(postgres_server, database) as boss:
            assert await ledger.claim(a_key(1)) and await ledger.claim(a_key(2))
            await boss.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rubricate'"
            )
            async with PostgresLedger(address) as other:
                assert await other.claim(a_key(1))
                assert not await ledger.claim(a_key(1))
                await ledger.release(a_key(1))
                assert not await ledger.claim(a_key(1))
                assert not await other.claim(a_key(2)), "the rest was claimed again with the new connection"

    async def test_patience_ends_in_a_sentence(self, postgres_server, database, address):
        """A server that stays away: what waits is told, `failure` says how to go on, nothing waits again,
        and leaving raises it."""
        with pytest.raises(RunError, match=r"did not come back within 0\.5 s") as caught:
            async with PostgresLedger(address, patience_s=0.5) as ledger:
                await ledger.keep_reply(a_key(1), Reply("kept"), "m")
                postgres_server.stop()
                try:
                    for ask in (ledger.keep_reply(a_key(2), Reply("x"), "m"), ledger.reply(a_key(1))):
                        with pytest.raises(RunError, match="did not come back"):
                            await asyncio.wait_for(ask, 10)
                    assert isinstance(ledger.failure, RunError)
                    begun = time.monotonic()
                    for ask in (ledger.keep_fact("f", "1"), ledger.reply(a_key(1)), ledger.claim(a_key(1))):
                        with pytest.raises(RunError, match="did not come back"):
                            await ask
                    assert time.monotonic() - begun < 0.3
                finally:
                    postgres_server.start()
        said = str(caught.value)
        assert f"127.0.0.1:{postgres_server.port}, database {database}" in said and "--resume" in said
        assert PASSWORD not in said
        async with PostgresLedger(address) as ledger:
            assert await ledger.reply(a_key(1)) == Reply("kept")

    async def test_tables_that_are_dropped_while_the_run_uses_them(self, postgres_server, database, address):
        """Said; nothing is acknowledged any more."""
        with pytest.raises(RunError, match="has lost the tables of schema rubricate"):
            async with PostgresLedger(address) as ledger, superuser(postgres_server, database) as boss:
                await ledger.keep_reply(a_key(1), Reply("kept"), "m")
                await boss.execute("DROP SCHEMA rubricate CASCADE")
                with pytest.raises(RunError, match="has lost the tables"):
                    await ledger.keep_reply(a_key(2), Reply("lost"), "m")
                with pytest.raises(RunError, match="has lost the tables"):
                    await ledger.keep_verdicts({a_key(2): Verdict("met")})

    async def test_a_damaged_value_is_no_reply(self, postgres_server, database, address):
        """Noticed by the checksum and told, never parsed into a reply."""
        async with PostgresLedger(address) as ledger, superuser(postgres_server, database) as boss:
            await ledger.keep_reply(a_key(1), Reply("x" * 200), "m")
            await boss.execute(
                "UPDATE rubricate.reply SET value = set_byte(value, 9, get_byte(value, 9) # 1)"
            )
            with pytest.raises(DataError, match="holds a reply that cannot be read") as caught:
                await ledger.reply(a_key(1))
            assert PASSWORD not in str(caught.value)


class TestNumbers:
    async def test_a_watermark_waits_for_a_lower_number(self, postgres_server, database, address):
        """A transaction has numbers and has not committed: no higher number is given out, and no watermark
        that would cover them, until it has; the loop and the reads go on."""
        async with PostgresLedger(address) as ledger, superuser(postgres_server, database) as slow:
            await ledger.keep_verdicts({a_key("before"): Verdict("met")})
            before = await ledger.watermark()
            async with slow.transaction():
                await slow.execute(
                    "SELECT pg_advisory_xact_lock($1, $2)", schema.lock_space("rubricate"), schema.VERDICTS
                )
                await slow.execute(
                    "INSERT INTO rubricate.verdict (key, value) VALUES ($1, $2)",
                    bytes.fromhex(a_key("slow")),
                    b'\x00{"outcome":"met"}',
                )
                write = asyncio.create_task(ledger.keep_verdicts({a_key("after"): Verdict("met")}))
                async with PostgresLedger(address) as other:
                    mark = asyncio.create_task(other.watermark())
                    for _ in range(20):
                        assert await ledger.verdicts([a_key("slow"), a_key("after")], 10**6) == {}
                    assert not write.done() and not mark.done()
                    await slow.execute("COMMIT; BEGIN")
                    await asyncio.wait_for(asyncio.gather(write, mark), 10)
                    slow_one = await other.verdicts([a_key("slow")], mark.result())
            assert before < mark.result() and list(slow_one) == [a_key("slow")]
            numbers = await slow.fetch("SELECT key FROM rubricate.verdict ORDER BY id")
            assert [row["key"].hex() for row in numbers] == [a_key(n) for n in ("before", "slow", "after")]

    async def test_the_event_loop_goes_on_while_a_commit_waits(self, postgres_server, database, address):
        """Another session keeps the table: reads answer, a write waits, and is done when that lets go."""
        async with PostgresLedger(address) as ledger, superuser(postgres_server, database) as holder:
            await ledger.keep_reply(a_key(1), Reply("before"), "m")
            async with holder.transaction():
                await holder.execute("LOCK TABLE rubricate.reply IN EXCLUSIVE MODE")
                write = asyncio.create_task(ledger.keep_reply(a_key(2), Reply("waits"), "m"))
                for _ in range(20):
                    assert (await ledger.reply(a_key(1))).text == "before"
                assert not write.done()
            assert (await asyncio.wait_for(write, 10)).text == "waits"

    async def test_writes_share_commits_and_reads_share_round_trips(self, address, monkeypatch):
        """A thousand callers at once are served in a few statements."""
        n_trips, run = 0, Link.run

        async def counted(self: Link, work: Any) -> Any:
            nonlocal n_trips
            n_trips += 1
            return await run(self, work)

        async with PostgresLedger(address) as ledger:
            monkeypatch.setattr(Link, "run", counted)
            await asyncio.gather(*(ledger.keep_reply(a_key(n), Reply("x"), "m") for n in range(1000)))
            await asyncio.gather(*(ledger.reply(a_key(n)) for n in range(1000)))
            await asyncio.gather(*(ledger.claim(a_key(n)) for n in range(1000)))
        assert n_trips <= 6
