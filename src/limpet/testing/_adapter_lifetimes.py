"""`AdapterSuite`, the part about what is kept: values, deadlines, round trips, damage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from limpet._wire.tokens import encode_id, store_key
from limpet.contract import NEVER, Record
from limpet.policy import SessionPolicy
from limpet.testing._adapter_site import Site
from limpet.testing.clock import FakeClock

__all__ = ["LifetimeRules"]

Opener = Callable[..., Awaitable[Site]]
HOUR, DAY = 3600, 86_400


class LifetimeRules:
    """Values, deadlines, round trips."""

    async def test_nested_changes_are_saved(self, anywhere: Opener) -> None:
        """A change three levels down is saved without a flag."""
        site = await anywhere()
        await site.get("/plant")
        await site.get("/grow", value="green")
        await site.get("/grow", value="red")
        assert await site.get("/read", key="tree") == {"branch": {"leaves": ["green", "red"]}}

    async def test_types_come_back(self, anywhere: Opener) -> None:
        """Every value comes back with the type it went in with."""
        site = await anywhere()
        await site.get("/store_types")
        assert await site.get("/check_types") == []

    async def test_unstorable_value_is_an_error_and_changes_nothing(self, anywhere: Opener) -> None:
        """A value that cannot be stored gives a 500 without a cookie, and the session stays as it was."""
        site = await anywhere()
        response = await site.first.get("/store_object")
        assert response.status_code == 500
        assert site.cookies(response) == []
        await site.get("/write", key="a", value="1")
        assert (await site.first.get("/store_object")).status_code == 500
        assert await site.get("/keys") == ["a"]

    async def test_deleting_a_key_is_saved(self, anywhere: Opener) -> None:
        """A deleted key is gone; the last one of an anonymous visitor ends the session, that of a user does not."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        await site.get("/write", key="b", value="2")
        response = await site.first.get("/delete", params={"key": "a"})
        assert response.status_code == 200
        assert "Max-Age=0" not in "".join(site.cookies(response))
        assert await site.get("/keys") == ["b"]
        response = await site.first.get("/delete", params={"key": "b"})
        assert response.status_code == 200
        assert "Max-Age=0" in "".join(site.cookies(response))
        assert (await site.get("/facts"))["is_new"] is True
        await site.get("/login")
        await site.get("/write", key="a", value="1")
        response = await site.first.get("/delete", params={"key": "a"})
        assert "Max-Age=0" not in "".join(site.cookies(response))
        facts = await site.get("/facts")
        assert (facts["is_new"], facts["subject"]) == (False, "ann")

    async def test_a_popped_message_is_shown_once(self, anywhere: Opener) -> None:
        """A flash message is there for one request."""
        site = await anywhere()
        await site.get("/write", key="flash", value="saved")
        assert await site.get("/flash") == "saved"
        assert await site.get("/flash") is None

    async def test_idle_timeout(self, anywhere: Opener) -> None:
        """A session that nobody uses ends, judged by the server whatever the client keeps."""
        site = await anywhere(policy=SessionPolicy(idle_timeout=HOUR, anonymous_timeout=HOUR))
        await site.get("/write", key="a", value="1")
        token = site.token()
        site.clock.advance(HOUR - 1)
        assert await site.replay(token) == ["a"]
        site.clock.advance(2 * HOUR)
        assert await site.replay(token) == []

    async def test_activity_keeps_a_session(self, anywhere: Opener) -> None:
        """Requests that merely read move the idle deadline."""
        site = await anywhere(policy=SessionPolicy(idle_timeout=HOUR))
        await site.get("/write", key="a", value="1")
        for _ in range(5):
            site.clock.advance(HOUR * 0.75)
            assert await site.get("/keys") == ["a"]

    async def test_absolute_timeout(self, anywhere: Opener) -> None:
        """However busy, a session ends at its absolute deadline."""
        site = await anywhere(policy=SessionPolicy(idle_timeout=HOUR, absolute_timeout=2 * HOUR))
        await site.get("/write", key="a", value="1")
        for _ in range(3):
            site.clock.advance(HOUR * 0.6)
            assert await site.get("/increment", key="n")
        site.clock.advance(HOUR * 0.3)
        assert await site.get("/keys") == []

    async def test_login_begins_a_new_absolute_deadline(self, anywhere: Opener) -> None:
        """The absolute timeout counts from the login, not from the first anonymous visit."""
        site = await anywhere(policy=SessionPolicy(idle_timeout=2 * HOUR, absolute_timeout=2 * HOUR))
        await site.get("/write", key="a", value="1")
        site.clock.advance(HOUR * 1.5)
        await site.get("/login")
        site.clock.advance(HOUR * 1.5)
        assert (await site.get("/facts"))["subject"] == "ann"

    async def test_remembered_login_outlives_the_timeouts(self, anywhere: Opener) -> None:
        """`login` with ``remember=True`` holds for the policy's ``remember``."""
        site = await anywhere(policy=SessionPolicy(idle_timeout=HOUR, absolute_timeout=DAY, remember=30 * DAY))
        await site.get("/login", remember=1)
        site.clock.advance(29 * DAY)
        assert (await site.get("/facts"))["subject"] == "ann"
        site.clock.advance(31 * DAY)
        assert (await site.get("/facts"))["subject"] is None

    async def test_a_login_says_how_and_a_step_up_says_more(self, anywhere: Opener) -> None:
        """`login` notes ``acr`` and ``amr``; both stay with the session, and the next login says them anew."""
        site = await anywhere()
        assert await site.get("/level", level="aal1") == [None, [], False]
        await site.get("/login", acr="aal1", amr="pwd")
        await site.get("/write", key="a", value="1")
        assert await site.get("/level", level="aal2") == ["aal1", ["pwd"], False]
        await site.get("/login", acr="aal2", amr="pwd otp")
        await site.get("/regenerate")
        assert await site.get("/level", level="aal1") == ["aal2", ["pwd", "otp"], True]
        await site.get("/login")
        assert await site.get("/level", level="aal1") == [None, [], False]

    async def test_expire_in(self, anywhere: Opener) -> None:
        """`expire_in` gives this one session a deadline of its own."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        await site.get("/expire_in", seconds=60)
        site.clock.advance(59)
        assert await site.get("/keys") == ["a"]
        site.clock.advance(2)
        assert await site.get("/keys") == []

    async def test_renewal_gives_a_new_id_with_a_grace(self, server: Opener) -> None:
        """After the renewal interval the id changes; the old one is served for the grace and then dead."""
        site = await server(policy=SessionPolicy(renewal_interval=HOUR, renewal_grace=30, rotate_on=()))
        await site.get("/write", key="a", value="1")
        old = site.token()
        site.clock.advance(HOUR)
        assert await site.get("/keys") == ["a"]
        new = site.token()
        assert new != old
        assert await site.replay(old) == ["a"]
        assert await site.get("/keys") == ["a"]
        site.clock.advance(29)
        response = await site.browser(token=old).get("/keys")
        assert response.json() == ["a"]
        assert site.cookies(response)[0].startswith(f"{site.name}={new};")
        site.clock.advance(2)
        assert await site.replay(old) == []
        assert await site.get("/keys") == ["a"]

    async def test_round_trips(self, server: Opener) -> None:
        """Without a cookie no store call, a read one, a write one more, a login three more, a logout one more.

        The first write of a process reads the journal of revocations, which later come with each load.
        """
        site = await server()
        await site.get("/read", key="a")
        assert site.calls() == []
        await site.get("/write", key="a", value="1")
        assert site.calls() == ["load", "create"]
        await site.get("/read", key="a")
        assert site.calls() == ["load"]
        await site.get("/write", key="a", value="2")
        assert site.calls() == ["load", "update"]
        await site.get("/login")
        # The load in the middle asks whether the subject's sessions, or everybody's, were revoked meanwhile.
        assert site.calls() == ["load", "create", "load", "replace"]
        await site.get("/write", key="a", value="3")
        # The first request after a change of id looks whether the old one has ended; its write notes that it has.
        assert site.calls() == ["load", "load", "update"]
        await site.get("/logout")
        assert site.calls() == ["load", "replace"]

    async def test_one_touch_in_an_interval(self, server: Opener) -> None:
        """Reading writes at most once in a touch interval."""
        site = await server(policy=SessionPolicy(idle_timeout=HOUR, touch_interval=60))
        await site.get("/write", key="a", value="1")
        site.calls()
        for seconds, calls in ((59, ["load"]), (1, ["load", "touch"]), (59, ["load"]), (1, ["load", "touch"])):
            site.clock.advance(seconds)
            await site.get("/keys")
            assert site.calls() == calls

    async def test_lazy_reads_when_asked(self, anywhere: Opener) -> None:
        """A lazy middleware makes no store call until the handler loads the session; then all is as ever."""
        site = await anywhere(lazy=True)
        await site.get("/write", key="a", value="1")
        site.calls()
        await site.get("/untouched")
        assert site.calls() == []
        await site.get("/write", key="b", value="2")
        assert site.calls() in ([], ["load", "update"])
        assert await site.get("/keys") == ["a", "b"]

    async def test_a_corrupt_record_is_anonymous(self, server: Opener) -> None:
        """A record that cannot be read is no session and no error, and it is deleted."""
        site = await server()
        await site.get("/write", key="a", value="1")
        key = (await site.get("/facts"))["public_id"]
        store = site.store.store
        await store.delete(key)
        await store.create(key, Record(1, b"M\0\0\0\0 no payload", site.clock(), NEVER), now=site.clock())
        assert await site.get("/keys") == []
        assert await store.load(key) is None
        await site.get("/write", key="b", value="2")
        assert await site.get("/keys") == ["b"]

    async def test_the_store_holds_nothing_that_opens_a_session(self, server: Opener) -> None:
        """The store's key is a digest of the id: sent as a cookie it is nothing."""
        site = await server()
        await site.get("/write", key="a", value="1")
        key = (await site.get("/facts"))["public_id"]
        assert site.token() not in key
        assert key == store_key(site.manager.engine.namespace, site.manager.engine.ids.verify(site.token()) or b"")
        assert await site.replay(key) == []

    async def test_is_live(self, server: Opener) -> None:
        """`is_live` asks the store: False once somebody ended the session."""
        site = await server()
        await site.get("/login")
        assert await site.get("/live") is True
        token = site.token()
        await site.get("/logout")
        assert await site.replay(token, "/live") is False

    async def test_a_secret_that_is_added_logs_nobody_out(self, server: Opener) -> None:
        """With ``unsigned_until`` an id of before is read until then, and signed with the next response."""
        soon = datetime.fromtimestamp(FakeClock()() / 1000, UTC) + timedelta(hours=1)
        site = await server(signed=True, unsigned_until=soon)
        await site.get("/login")
        signed = site.token()
        bare = encode_id(site.manager.engine.ids.verify(signed) or b"")  # as it went out before there was a secret
        answer = await site.browser(token=bare).get("/facts")
        assert answer.json()["subject"] == "ann"
        assert [line.partition("; ")[0] for line in site.cookies(answer)] == [f"{site.name}={signed}"]
        site.clock.advance(2 * 3600)
        assert (await site.replay(signed, "/facts"))["subject"] == "ann"
        assert (await site.replay(bare, "/facts"))["subject"] is None
