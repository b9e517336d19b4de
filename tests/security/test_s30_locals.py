"""S30: a report that prints local variables prints ids and values (rich, Sentry, a debugging page)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import pytest

import limpet
from limpet import LimpetError, SessionPolicy, StoreUnavailable
from limpet.contract import Outcome, Record
from tests.security.site import OLDER, SECRET, Watched, WatchedSite
from tests.site import Handler

VALUE = "4111-1111-1111-1111"
INSIDE = tuple(str(Path(limpet.__file__).parent / name) for name in ("_core", "stores", "sealers", "serializers"))


class Failing(Watched):
    """A store whose calls fail when they are told to, each with a driver's error as its cause."""

    down = ""

    def _fail(self, call: str, *given: object) -> None:
        if call == self.down:
            try:
                raise OSError(f"{call} failed")
            except OSError as error:
                raise StoreUnavailable("the store is away") from error

    async def load(self, key: str) -> Record | None:
        self._fail("load", key)
        return await super().load(key)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        self._fail("load", *keys)
        return await super().load_many(keys)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        self._fail("create", key, record)
        return await super().create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._fail("update", key, record)
        return await super().update(key, record, expected, now=now)

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._fail("update", key, record)
        return await super().replace(key, record, expected, now=now)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self._fail("delete", key)
        return await super().delete(key, version)


HANDLERS: dict[str, Handler] = {
    "/card": lambda session: session.update(card=VALUE),
    "/object": lambda session: session.update(thing=object()),
    "/large": lambda session: session.update(more="x" * 9_000),
}
WAYS = [
    *(
        ("server", path, down)
        for path, down in (("/read", "load"), ("/write", "update"), ("/login", "create"), ("/logout", "update"))
    ),
    ("server", "/rotate", "create"),
    ("server", "/rotate", "update"),
    *((store, path, "") for store in ("server", "cookie:", "cookie:signed") for path in ("/object", "/large")),
]


def frames(error: BaseException | None) -> Iterator[TracebackType]:
    """Yield the steps of the tracebacks of an error, its causes and its contexts, those inside the engine."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.startswith(INSIDE):
                yield trace
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


async def failure(site: WatchedSite, path: str, token: str) -> LimpetError:
    """Return what the engine raises for a request, before anybody turns it into an answer."""
    manager = site.manager
    session = manager.begin([(b"cookie", f"{manager.cookie_name}={token}".encode())])
    try:
        await manager.load(session)
        site.pages[path](session)
        await manager.commit(session)
    except LimpetError as error:
        return error
    raise AssertionError(f"{path} did not fail")


@pytest.mark.parametrize(("store", "path", "down"), WAYS)
async def test_no_frame_of_the_engine_keeps_an_id_or_a_value(store: str, path: str, down: str) -> None:
    """After every error the local variables of the engine, the sealers and the stores hold nothing, in any chain."""
    kept = Failing()
    policy = SessionPolicy(max_size=8_000)
    site = WatchedSite(HANDLERS, kept if store == "server" else store, secret=[SECRET, OLDER], policy=policy)
    token = (await site.ask("/card")).given
    kept.down = down
    error = await failure(site, path, token)
    raw = (site.manager.engine.ids.verify(token) if store == "server" else None) or b"no id"
    for trace in frames(error):
        for name, value in trace.tb_frame.f_locals.items():
            shown = repr(value)
            for needle in (token, token[8:40], repr(raw), raw.hex(), VALUE, SECRET, OLDER):
                assert needle not in shown, f"{trace.tb_frame.f_code.co_qualname}: {name}"
    assert error.__traceback__ is not None
    assert "raised in" in error.__notes__[0]


async def test_the_error_of_an_application_keeps_its_variables() -> None:
    """What was under way when the engine was called is not ours: a handler's frames stay whole for its debugger."""
    kept = Failing()
    site = WatchedSite(store=kept)

    def handler() -> None:
        mine = "mine"
        raise ValueError(len(mine))

    token = (await site.ask("/write")).given
    session = site.manager.begin([(b"cookie", f"{site.manager.cookie_name}={token}".encode())])
    await site.manager.load(session)
    kept.down = "update"
    try:
        handler()
    except ValueError as error:
        session.logout()
        with pytest.raises(StoreUnavailable):
            await site.manager.commit(session, failed=True)
        trace = error.__traceback__
        assert trace is not None
        assert trace.tb_next is not None
        assert trace.tb_next.tb_frame.f_locals == {"mine": "mine"}
