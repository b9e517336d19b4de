"""Moving in from another library: its real sessions become ours, once, and nothing else does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Secret

from limpet import ConfigurationError, CookiePolicy, Session, SessionManager
from limpet.events import SessionImported
from limpet.importers import StarletteCookies
from limpet.manager import system_clock
from limpet.protocols import Importer
from limpet.testing import FakeClock
from tests.importers.origins import ORIGINS, OTHER_SECRET, SIGNED, Made
from tests.importers.origins import SECRET as OLD
from tests.security.hostile import CORPUS, bit_flips, truncations
from tests.security.site import SECRET, WatchedSite
from tests.site import Answer, Handler


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the old applications keep their sessions."""
    return tmp_path_factory.mktemp("old")


@pytest.fixture(scope="module", params=list(ORIGINS))
def made(request: pytest.FixtureRequest, folder: Path) -> Made:
    """Return an old session of each origin."""
    return ORIGINS[request.param](folder)


@pytest.fixture(scope="module", params=SIGNED)
def signed(request: pytest.FixtureRequest, folder: Path) -> Made:
    """Return an old session of each origin that signs its cookie."""
    return ORIGINS[request.param](folder)


class Moved(WatchedSite):
    """An application that has moved, at today's time, since the old libraries use that.

    Attributes:
        taken: What the last request to ``/take`` found in its session.
    """

    def __init__(self, *importers: Importer, store: str | None = None, **settings: Any) -> None:
        self.taken: dict[str, Any] = {}
        handlers: dict[str, Handler] = {"/take": self._take, "/who": lambda session: session.subject}
        super().__init__(handlers, store=store, secret=SECRET, importers=importers, **settings)
        self.clock.now = system_clock()

    def _take(self, session: Session) -> None:
        self.taken = dict(session)


async def ask(moved: Moved, path: str, made: Made, token: str | None = None, value: bytes | None = None) -> Answer:
    """Make a request with the old cookie."""
    cookie = made.cookie.encode() + b"=" + (made.value.encode() if value is None else value)
    return await moved.ask(path, token, cookies=[cookie])


def new_token(answer: Answer) -> str:
    """Return the token of the new session that an answer hands out."""
    (line,) = (line for line in answer.cookies if line.startswith("__Host-Http-session="))
    return line.partition(";")[0].partition("=")[2]


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
async def test_nobody_is_logged_out(made: Made, store: str | None) -> None:
    """The first page that uses the session has everything in it, hands out a new one and deletes the old cookie."""
    moved = Moved(made.importer(), store=store)
    answer = await ask(moved, "/take", made)
    assert answer.status == 200
    assert moved.taken == made.data
    token = new_token(answer)
    assert [line for line in answer.cookies if line.startswith(f"{made.cookie}=; Max-Age=0")]
    assert answer.all("cache-control") == ["no-store"]
    assert moved.said(SessionImported) == 1
    assert (await moved.ask("/take", token)).cookies == []
    assert moved.taken == made.data


async def test_a_page_that_does_not_use_the_session_changes_nothing(made: Made) -> None:
    """No row, no cookie, no event, until a handler has to do with the session."""
    moved = Moved(made.importer())
    answer = await ask(moved, "/touch", made)
    assert answer.cookies == []
    assert moved.rows == {}
    assert moved.heard == []


async def test_a_session_of_ours_counts_first(made: Made) -> None:
    """Beside a valid one the old cookie is not even looked at."""
    moved = Moved(made.importer())
    token = (await moved.ask("/write")).given
    await ask(moved, "/take", made, token)
    assert moved.taken == {"n": 1}
    assert moved.said(SessionImported) == 0


async def test_the_end_date_holds(made: Made) -> None:
    """From its first millisecond on, the old cookie is nobody's."""
    moved = Moved(made.importer(until=date(2100, 1, 1)))
    moved.clock.now = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
    answer = await ask(moved, "/take", made)
    assert moved.taken == {}
    assert answer.cookies == []


async def test_another_secret_opens_nothing(signed: Made) -> None:
    """A cookie that somebody else signed is anonymous."""
    moved = Moved(signed.importer(OTHER_SECRET))
    answer = await ask(moved, "/take", signed)
    assert moved.taken == {}
    assert answer.cookies == []


@pytest.mark.parametrize("missing", ["", " ", b"", None, [], [OLD, ""]])
def test_a_secret_that_is_missing_is_refused(signed: Made, missing: Any) -> None:
    """As where the environment lacks it: anybody could sign with an empty one, or with the word "None"."""
    with pytest.raises(ConfigurationError, match="missing or empty"):
        signed.importer(missing)


def test_a_secret_may_be_an_object_that_hides_it() -> None:
    """Starlette has a class for secrets."""
    hidden: Any = Secret
    StarletteCookies(hidden(OLD), until=date(2030, 1, 31))
    with pytest.raises(ConfigurationError, match="missing or empty"):
        StarletteCookies(hidden(""), until=date(2030, 1, 31))


async def test_a_forged_cookie_opens_nothing(signed: Made) -> None:
    """Bit flips in every tenth character, truncations, junk: anonymous, no error, nothing stored."""
    moved = Moved(signed.importer())
    forged = [*list(bit_flips(signed.value))[::10], *list(truncations(signed.value))[::7], *CORPUS]
    for value in forged:
        answer = await ask(moved, "/take", signed, value=value)
        assert answer.status == 200
        assert moved.taken == {}, value
    assert moved.rows == {}


@pytest.mark.parametrize("path", ["/../../etc/passwd", "..%2f..", "x" * 5_000, "'; --", "K" * 40])
async def test_a_strange_key_is_never_looked_up(made: Made, path: str) -> None:
    """What is no session key of the old library reaches neither its files nor its database."""
    moved = Moved(made.importer())
    assert (await ask(moved, "/take", made, value=path.encode())).status == 200
    assert moved.taken == {}


async def test_an_old_session_expires_as_it_would_have(folder: Path) -> None:
    """What the old library would refuse for its age is refused."""
    for name in ("starlette", "flask", "django signed_cookies"):
        made = ORIGINS[name](folder)
        moved = Moved(made.importer(max_age=3600))
        moved.clock.advance(3500)
        assert (await ask(moved, "/touch", made)).status == 200
        await ask(moved, "/take", made)
        assert moved.taken == made.data
        moved.clock.advance(200)
        await ask(moved, "/take", made)
        assert moved.taken == {}


@pytest.mark.parametrize("forget", [True, False])
async def test_a_logout_holds(made: Made, forget: bool) -> None:
    """Logging out deletes the old cookie as well, whatever `forget` says: it cannot log in again."""
    moved = Moved(made.importer(forget=forget))
    token = new_token(await ask(moved, "/take", made))
    for given in (token, None):
        answer = await ask(moved, "/logout", made, given)
        assert [line for line in answer.cookies if line.startswith(f"{made.cookie}=; Max-Age=0")]
    assert moved.kept == {}


async def test_the_old_cookie_stays_where_it_is_told_to(made: Made) -> None:
    """``forget=False`` is for an old release that still runs: one cookie is set and none deleted."""
    moved = Moved(made.importer(forget=False))
    answer = await ask(moved, "/take", made)
    assert len(answer.cookies) == 1
    assert new_token(answer)


async def test_whose_session_it_is(made: Made) -> None:
    """A key of the old session names the subject, so that it can be listed and ended."""
    moved = Moved(made.importer(subject="user_id"))
    answer = await ask(moved, "/who", made)
    assert answer.text == '"7"'
    assert [record.subject for record in moved.kept.values()] == ["7"]


async def test_when_it_was_signed(signed: Made) -> None:
    """A signature has a time, which the importer tells; from the future it is never."""
    importer = signed.importer()
    [token] = importer.find([(b"cookie", f"{signed.cookie}={signed.value}".encode())])
    now = system_clock()
    old = await importer.read(token, now)
    assert old is not None
    assert old.at is not None
    assert now - 600_000 < old.at <= now


@pytest.mark.parametrize("everyone", [False, True])
async def test_a_revocation_ends_what_was_signed_before(signed: Made, everyone: bool) -> None:
    """A session that was signed long after the revocation of its user moves; one from before does not."""
    clock = FakeClock()
    manager = SessionManager("memory:", importers=[signed.importer(subject="user_id")], clock=clock)
    for since, expected in ((-3_600_000, "7"), (0, None)):
        clock.now = system_clock() + since
        if everyone:
            await manager.revoke_everyone()
        else:
            await manager.revoke_all("7")
        clock.now = system_clock()
        session = manager.begin([(b"cookie", f"{signed.cookie}={signed.value}".encode())])
        await manager.load(session)
        assert session.subject == expected


async def test_what_cannot_be_stored_is_left_out(folder: Path) -> None:
    """The rest is taken over, and an event names the key."""
    made = ORIGINS["starlette"](folder)
    moved = Moved(made.importer(convert=lambda data: {**data, "thing": object()}))
    await ask(moved, "/take", made)
    assert moved.taken == made.data
    (event,) = (event for event in moved.heard if isinstance(event, SessionImported))
    assert event.left_out == ("thing",)
    assert event.origin == "starlette"


async def test_convert_may_refuse(folder: Path) -> None:
    """None takes nothing over."""
    made = ORIGINS["starlette"](folder)
    moved = Moved(made.importer(convert=lambda data: None))
    assert (await ask(moved, "/take", made)).cookies == []
    assert moved.taken == {}


async def test_a_failed_request_tries_again(folder: Path) -> None:
    """After an error nothing was moved, and the next request still has the old session."""
    made = ORIGINS["starlette"](folder)
    moved = Moved(made.importer())

    def fails(session: Session) -> None:
        assert session["user_id"] == 7
        raise RuntimeError("no")

    moved.pages["/fails"] = fails
    assert (await ask(moved, "/fails", made)).status == 500
    assert moved.rows == {}
    await ask(moved, "/take", made)
    assert moved.taken == made.data


async def test_a_cookie_of_the_same_name(folder: Path) -> None:
    """Where ours has the old one's name, the new value takes its place and nothing deletes it."""
    made = ORIGINS["starlette"](folder)
    moved = Moved(made.importer(), cookie=CookiePolicy(name="session"))
    answer = await ask(moved, "/take", made)
    (line,) = answer.cookies
    token = line.partition(";")[0].partition("=")[2]
    assert token
    assert (await moved.ask("/take", token)).cookies == []
    assert moved.taken == made.data


async def test_s24_an_importer_weakens_no_cookie_of_ours(signed: Made) -> None:
    """Even with one secret for both: an old cookie under our name is nobody's, and so is a signed one of ours."""
    moved, same = (Moved(signed.importer(secret), store="cookie:") for secret in (OLD, SECRET))
    weaker = (await WatchedSite(store="cookie:signed", secret=SECRET).ask("/write")).given
    ours = moved.manager.cookie_name
    for site, name, value in ((moved, ours, signed.value), (same, ours, weaker), (same, signed.cookie, weaker)):
        answer = await site.ask("/take", value, name=name)
        assert (answer.status, answer.cookies, site.taken) == (200, [], {})
    token = (await same.ask("/write")).given
    assert (await same.ask("/take", token, name=signed.cookie)).cookies == []
    assert same.taken == {}
    await moved.ask("/take", signed.value, name=signed.cookie)
    assert moved.taken == signed.data


@pytest.mark.parametrize("until", [None, "2030-01-31", datetime(2030, 1, 31), 7])
def test_an_end_date_is_needed(until: Any) -> None:
    """None, a text or a time without a zone is refused."""
    with pytest.raises(ConfigurationError, match="until"):
        StarletteCookies("old", until=until)
