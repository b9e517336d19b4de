"""What ``limpet revoke`` ends reaches the log and the audit lines of the application."""

from __future__ import annotations

import asyncio

from limpet import SessionManager, events
from limpet.stores.sqlite import SQLiteStore
from tests.cli.running import Shell
from tests.site import Site
from tests.test_acting import heard


def test_the_command_line(shell: Shell) -> None:
    """What ``limpet revoke`` ends is told to the application, with the user, the host and the reason."""

    async def serve() -> list[events.RevocationSeen]:
        manager = SessionManager(SQLiteStore(shell.folder / "s.db"), dev=False)
        manager.use_running_loop()
        site = Site(manager)
        cookie, gone = await site.login("looker"), await site.login("ann")
        (ann,) = await manager.sessions_of("ann")
        done = await asyncio.to_thread(
            shell.run, "revoke", ann.public_id[:8], "--why", "ticket 7", "--store", "sqlite:///s.db"
        )
        assert done.exit_code == 0, done.output
        assert await site.whose(gone) is None
        found = await heard(site, cookie)
        await manager.shutdown()
        return found

    (event,) = asyncio.run(serve())
    assert event.by is not None
    assert event.by.endswith("(limpet revoke)")
    assert "@" in event.by
    assert (event.subject, event.why) == ("ann", "ticket 7")
