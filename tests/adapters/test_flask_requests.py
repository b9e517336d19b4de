"""Requests of a Flask application: failures, store calls, streams, and where its settings come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest

from limpet import SessionConflict, SessionManager, SessionPolicy, StoreUnavailable
from limpet.adapters.flask import Limpet, SessionInterface, fresh_login, session
from limpet.errors import LimpetWarning, WeakSecret
from limpet.testing import FakeClock
from tests.adapters.flask_site import SECRET, Site, asks_for_it, cookies, token


@asks_for_it
def test_the_session_itself_is_an_answer(site: Site, browser: Any) -> None:
    """A view may return the session object, or hand it to JSON, before anything has read it."""

    @site.app.route("/itself")
    def itself() -> Any:
        return session._get_current_object()

    @site.app.route("/nested")
    def nested() -> Any:
        return flask.jsonify([session._get_current_object()])

    browser.get("/set/a/1")
    assert browser.get("/itself").json == {"a": "1"}
    assert browser.get("/nested").json == [{"a": "1"}]


class TestFailures:
    """What a client is told if the store fails, and what a failed request leaves behind."""

    def test_a_route_without_sessions_survives_an_outage(self, site: Site, browser: Any) -> None:
        """Nothing is asked for what the page does not use, or the answer does not matter."""
        browser.get("/set/a/1")
        site.store.down = True
        assert browser.get("/untouched").status_code == 200
        found = browser.get("/all")
        assert (found.status_code, found.headers["Retry-After"]) == (503, "1")

    def test_a_save_that_fails_is_an_error_without_a_cookie(self, site: Site, browser: Any) -> None:
        """The page that the view made is replaced, its headers with it."""

        @site.app.route("/page")
        def page() -> flask.Response:
            session["a"] = 2
            return flask.Response("done", 201, {"Location": "/secret"})

        site.store.writes_down = True
        found = browser.get("/page")
        assert (found.status_code, found.headers["Retry-After"]) == (503, "1")
        assert "done" not in found.text
        assert "Location" not in found.headers
        assert cookies(found) == []

    def test_the_application_answers_as_it_likes(self, site: Site, browser: Any) -> None:
        """An error handler of its own is asked, for what reading and for what saving raises."""

        @site.app.errorhandler(StoreUnavailable)
        def tired(error: StoreUnavailable) -> tuple[str, int]:
            return "come back later", 599

        browser.get("/set/a/1")
        site.store.down = True
        assert browser.get("/all").status_code == 599
        site.store.down, site.store.writes_down = False, True
        assert browser.get("/set/a/2").text == "come back later"

    def test_a_transaction_of_a_test_raises(self, site: Site, browser: Any) -> None:
        """Whoever writes to the session in a test hears of it."""
        site.store.writes_down = True
        with pytest.raises(StoreUnavailable):
            with browser.session_transaction() as held:
                held["a"] = 1

    def test_a_conflict_is_409(self) -> None:
        """Two requests changed a strict key: the second is refused and saves nothing."""
        site = Site(policy=SessionPolicy(merge={"seat": "strict"}))
        browser = site.app.test_client()

        @site.app.route("/seat")
        def seat() -> str:
            session["other"] = 1
            session["seat"] = "mine"
            other = site.app.test_client()
            other.set_cookie("session", token(browser))
            other.get("/set/seat/theirs")
            return ""

        browser.get("/set/seat/none")
        assert browser.get("/seat").status_code == 409
        assert browser.get("/all").json == {"seat": "theirs"}

    @pytest.mark.parametrize("raises", [True, False])
    def test_a_failed_request_drops_what_it_wrote_and_keeps_a_logout(self, site: Site, raises: bool) -> None:
        """Also where Flask hands the error on, as it does in tests."""
        site.app.config["PROPAGATE_EXCEPTIONS"] = raises
        browser = site.app.test_client()

        @site.app.route("/boom/<what>")
        def boom(what: str) -> str:
            if what == "logout":
                session.logout()
            else:
                session["a"] = 2
            raise ZeroDivisionError

        def get(path: str) -> None:
            try:
                assert browser.get(path).status_code == 500
            except ZeroDivisionError:
                assert raises

        browser.get("/set/a/1")
        held = token(browser)
        get("/boom/write")
        assert browser.get("/all").json == {"a": "1"}
        get("/boom/logout")
        browser.set_cookie("session", held)
        assert browser.get("/all").json == {}

    def test_a_response_of_500_drops_what_was_written(self, site: Site, browser: Any) -> None:
        """A view that says itself that it failed is taken at its word, and nothing is saved when its response ends."""

        @site.app.route("/broken")
        def broken() -> tuple[str, int]:
            session["a"] = 2
            session.setdefault("list", []).append(1)
            return "sorry", 500

        browser.get("/set/a/1")
        assert cookies(browser.get("/broken")) == []
        assert browser.get("/all").json == {"a": "1"}

    def test_an_answered_error_of_ours_saves_nothing(self, site: Site, browser: Any) -> None:
        """A view that lets a conflict pass is answered with 409, and what it wrote before is dropped."""

        @site.app.route("/conflict")
        def conflict() -> str:
            session["a"] = 2
            raise SessionConflict("lost")

        browser.get("/set/a/1")
        assert browser.get("/conflict").status_code == 409
        assert browser.get("/all").json == {"a": "1"}


class TestRequests:
    """Store calls, streams, paths without sessions."""

    def test_files_of_the_application_read_no_session(self, tmp_path: Any) -> None:
        """A page with forty files costs one read, and none of them carries a cookie."""
        site = Site()
        site.app.static_folder = str(tmp_path)
        (tmp_path / "a.css").write_text("")
        browser = site.app.test_client()
        with browser.session_transaction() as held:
            held["a"], held.permanent = 1, True
        site.calls()
        found = browser.get("/static/a.css", buffered=True)
        assert (found.status_code, cookies(found), site.calls()) == (200, [], [])

    def test_without_refreshing_an_untouched_session_is_not_read(self, site: Site, browser: Any) -> None:
        """``SESSION_REFRESH_EACH_REQUEST = False``: no read, and a session ends so long after its last change."""
        site.app.config["SESSION_REFRESH_EACH_REQUEST"] = False
        browser.get("/set/a/1")
        site.calls()
        browser.get("/untouched")
        assert site.calls() == []
        browser.get("/all")
        assert site.calls() == ["load"]

    def test_a_stream_may_write(self, site: Site, browser: Any) -> None:
        """What a stream writes while it is sent is saved when it has ended, before the server hears of the end."""

        @site.app.route("/stream")
        def stream() -> flask.Response:
            def parts() -> Iterator[str]:
                yield "begun"
                session["a"] = "streamed"

            return flask.Response(flask.stream_with_context(parts()))

        browser.get("/set/a/1")
        assert browser.get("/stream").text == "begun"
        assert browser.get("/get/a").json == {"value": "streamed"}

    def test_a_fresh_login_is_asked_for(self, site: Site, browser: Any) -> None:
        """A login of a moment ago will do, an older one gets a challenge, and so does nobody."""
        clock = FakeClock()

        @site.app.route("/login")
        def login() -> str:
            session.login("ann")
            return ""

        @site.app.route("/danger/<what>")
        @fresh_login(minutes=5)
        def danger(what: str) -> str:
            return what

        with site.app.app_context():
            site.limpet.manager.clock = clock
        assert browser.get("/danger/x").status_code == 401
        browser.get("/login")
        assert browser.get("/danger/x").text == "x"
        clock.advance(301)
        refused = browser.get("/danger/x")
        assert refused.status_code == 401
        assert "max_age" in refused.headers["WWW-Authenticate"]

    def test_an_excluded_path_has_no_session(self) -> None:
        """Reading gives nothing, writing says why it cannot be."""
        site = Site(exclude=("/get",))
        browser = site.app.test_client()
        browser.get("/set/a/1")
        assert browser.get("/get/a").json == {"value": None}
        with site.app.test_request_context("/get/a"):
            with pytest.raises(RuntimeError, match="excluded"):
                flask.session["a"] = 1

    def test_no_header_for_what_was_not_used(self, site: Site, browser: Any) -> None:
        """``Vary`` and ``Cache-Control`` depend on the use of the session; what the page says itself stays."""

        @site.app.route("/said")
        def said() -> flask.Response:
            session.get("a")
            return flask.Response("", headers={"Vary": "Accept", "Cache-Control": "max-age=5"})

        browser.get("/set/a/1")
        assert "Vary" not in browser.get("/untouched").headers
        found = browser.get("/get/a").headers
        assert (found["Vary"], found["Cache-Control"]) == ("Cookie", "private")
        found = browser.get("/said").headers
        assert found.getlist("Vary") == ["Accept, Cookie"]
        assert found.getlist("Cache-Control") == ["max-age=5"]

    def test_another_site_begins_no_session(self, site: Site, browser: Any) -> None:
        """A form on another site, which comes without the cookie, does not put its own in the place of it."""

        @site.app.post("/write")
        def write() -> str:
            session["a"] = 1
            return ""

        assert cookies(browser.post("/write", headers={"Sec-Fetch-Site": "cross-site"})) == []
        assert cookies(browser.post("/write", headers={"Sec-Fetch-Site": "same-origin"}))


class TestManagers:
    """Where the settings come from."""

    def test_a_weak_secret_is_refused_where_it_matters(self) -> None:
        """An application that is neither tested nor debugged needs a secret that nobody guesses."""
        app = flask.Flask("weak")
        app.secret_key = "dev"
        app.config["PROPAGATE_EXCEPTIONS"] = True
        Limpet(app, "memory:")
        with pytest.raises(WeakSecret):
            app.test_client().get("/")
        app.testing = True
        with pytest.warns(LimpetWarning, match="3 bytes"):
            assert app.test_client().get("/").status_code == 404

    def test_without_a_secret_the_server_keeps_sessions(self) -> None:
        """Ids need no signature; sessions in cookies do, and Flask's own error says so."""
        site = Site()
        site.app.secret_key = None
        browser = site.app.test_client()
        browser.get("/set/a/1")
        assert browser.get("/all").json == {"a": "1"}
        app = flask.Flask("cookie")
        Limpet(app, "cookie:")
        with app.test_request_context():
            assert flask.session.get("a") is None
            with pytest.raises(RuntimeError, match="secret key"):
                flask.session["a"] = 1

    def test_a_manager_that_is_given_decides(self) -> None:
        """Its cookie and its deadlines hold, whatever the configuration says, so that frameworks can share it."""
        app = flask.Flask("given")
        app.config.update(SESSION_COOKIE_NAME="other", PERMANENT_SESSION_LIFETIME=5)
        manager = SessionManager("memory:")
        limpet = Limpet(app, manager)

        @app.route("/")
        def page() -> str:
            session["a"] = 1
            return ""

        with app.app_context():
            assert limpet.manager is manager
        line = cookies(app.test_client().get("/"))[0]
        assert line.startswith(f"{manager.cookie_name}=")
        assert "Secure" in line
        with pytest.raises(TypeError, match="policy"):
            Limpet(app, manager, policy=SessionPolicy())

    def test_one_extension_for_several_applications(self) -> None:
        """Each application has a manager of its own."""
        limpet = Limpet(manager="memory:")
        apps = [flask.Flask("one"), flask.Flask("two")]
        managers = []
        for app in apps:
            limpet.init_app(app)
            with app.app_context():
                managers.append(limpet.manager)
        assert managers[0] is not managers[1]

    def test_without_the_extension(self) -> None:
        """The interface alone is enough, as with any other of Flask's."""
        app = flask.Flask("alone")
        app.secret_key = SECRET
        app.session_interface = SessionInterface("memory:")
        browser = app.test_client()
        with browser.session_transaction() as held:
            held["a"] = 1
        with browser.session_transaction() as held:
            assert held == {"a": 1}

    def test_expired_sessions_are_deleted_by_a_command(self, site: Site) -> None:
        """``flask session_cleanup`` is Flask-Session's word for it."""
        found = site.app.test_cli_runner().invoke(args=["session_cleanup"])
        assert found.exception is None, found.exception
        assert found.output == "0 expired sessions were deleted\n"
