"""The session of a Flask application is what Flask and Flask-Session promise, and what limpet does."""

from __future__ import annotations

import json
import threading
from copy import deepcopy
from datetime import timedelta
from typing import Any

import flask
import pytest
from flask.sessions import SessionMixin
from markupsafe import Markup

from limpet import Session
from limpet.adapters.flask import FlaskSession, session
from tests.adapters.flask_site import Site, asks_for_it, cookies, token


class TestADict:
    """The session is the dict that Flask's applications are used to."""

    def test_it_is_a_dict_and_a_session_of_flask(self, site: Site) -> None:
        """It passes `isinstance`, is JSON, joins and copies as a dict does."""
        with site.app.test_request_context():
            flask.session["a"] = [1]
            held = flask.session._get_current_object()  # type: ignore[attr-defined]
            assert all(isinstance(held, kind) for kind in (dict, SessionMixin, FlaskSession, Session))
            assert json.dumps(held) == '{"a": [1]}'
            assert held | {"b": 2} == {"a": [1], "b": 2}
            assert type(deepcopy(held)) is dict

    def test_a_nested_change_is_saved_without_a_flag(self, site: Site, browser: Any) -> None:
        """``session["cart"].append(...)`` counts although no key was set."""

        @site.app.route("/append/<item>")
        def append(item: str) -> str:
            session.setdefault("cart", [])
            session["cart"].append(item)
            return ""

        browser.get("/append/tea")
        browser.get("/append/milk")
        assert browser.get("/get/cart").json == {"value": ["tea", "milk"]}

    @asks_for_it
    def test_an_equal_value_of_another_type_is_a_change(self, site: Site, browser: Any) -> None:
        """What code in C puts there, past the dict's own methods, is found by looking at which object it is."""

        @site.app.route("/put")
        def put() -> str:
            dict.__setitem__(session._get_current_object(), "n", True)
            return ""

        @site.app.route("/swap")
        def swap() -> str:
            held = session._get_current_object()
            dict.__setitem__(held, "m", dict.pop(held, "n"))
            return ""

        with browser.session_transaction() as held:
            held["n"] = 1
        browser.get("/put")
        assert browser.get("/get/n").json["value"] is True
        browser.get("/swap")
        assert browser.get("/all").json == {"m": True}

    def test_two_requests_at_once_both_count(self, site: Site, browser: Any) -> None:
        """Requests that read before either has written lose nothing of each other."""
        both = threading.Barrier(2)

        @site.app.route("/slow/<key>")
        def slow(key: str) -> str:
            session["flashes"] = [*session.get("flashes", []), key]
            session.increment("n")
            both.wait(5)
            return ""

        browser.get("/set/a/1")
        held = token(browser)

        def send(key: str) -> None:
            other = site.app.test_client()
            other.set_cookie("session", held)
            other.get(f"/slow/{key}")

        threads = [threading.Thread(target=send, args=(key,)) for key in "xy"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = browser.get("/all").json
        assert sorted(found.pop("flashes")) == ["x", "y"]
        assert found == {"a": "1", "n": 2}

    def test_types_come_back(self, site: Site, browser: Any) -> None:
        """What Flask's own cookie keeps the type of keeps it here, Markup too; a tuple in a list as well."""
        with browser.session_transaction() as held:
            held["markup"] = Markup("<b>")
            held["pairs"] = [("message", Markup("<i>")), ("error", "plain")]
        with browser.session_transaction() as held:
            assert type(held["markup"]) is Markup
            assert held["pairs"] == [("message", Markup("<i>")), ("error", "plain")]
            assert [type(text) for _, text in held["pairs"]] == [Markup, str]

    def test_flashed_markup_is_not_escaped_on_the_next_page(self, site: Site, browser: Any) -> None:
        """A link that is flashed is a link; a text that is flashed is escaped."""

        @site.app.route("/flash")
        def flash() -> str:
            flask.flash(Markup('<a href="/">undo</a>'))
            flask.flash("<script>")
            return ""

        @site.app.route("/show")
        def show() -> str:
            return flask.render_template_string("{% for each in get_flashed_messages() %}{{ each }}{% endfor %}")

        browser.get("/flash")
        assert browser.get("/show").text == '<a href="/">undo</a>&lt;script&gt;'
        assert browser.get("/show").text == ""

    def test_a_lazy_text_is_stored_in_the_language_of_its_request(self, site: Site, browser: Any) -> None:
        """A translation that is looked up when it is shown is looked up when it is saved."""

        class Lazy:
            def __str__(self) -> str:
                return f"hello in {flask.request.args['lang']}"

            __html__ = __str__

            def __getattr__(self, name: str) -> Any:
                return getattr(str(self), name)

        @site.app.route("/flash")
        def flash() -> str:
            flask.flash(Lazy())  # type: ignore[arg-type]
            return ""

        @site.app.route("/show")
        def show() -> str:
            return " ".join(flask.get_flashed_messages())  # type: ignore[arg-type]

        browser.get("/flash?lang=fr")
        assert browser.get("/show?lang=de").text == "hello in fr"


class TestAttributes:
    """``permanent``, ``new``, ``modified``, ``accessed``, ``sid``."""

    def test_new_until_it_is_stored(self, site: Site, browser: Any) -> None:
        """`new` and `sid` say whether something is stored."""
        with browser.session_transaction() as held:
            assert (held.new, held.sid) == (True, None)
            held["a"] = 1
        with browser.session_transaction() as held:
            assert not held.new
            assert len(held.sid) == 64
            assert held.sid != token(browser)

    def test_modified_follows_the_contents(self, site: Site, browser: Any) -> None:
        """Reading is none, a change inside of a list is one, and False is forgotten by the next change."""
        with browser.session_transaction() as held:
            held["list"] = [1]
        with browser.session_transaction() as held:
            assert not held.modified
            assert held["list"] == [1]
            assert not held.modified
            held["list"].append(2)
            assert held.modified
            held.modified = False
            assert not held.modified
            held["list"].append(3)
            assert held.modified
        assert browser.get("/get/list").json == {"value": [1, 2, 3]}

    def test_a_permanent_session_has_a_cookie_that_expires(self, site: Site, browser: Any) -> None:
        """``session.permanent`` decides, and each answer moves the date."""
        site.app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=1)

        @site.app.route("/permanent/<int:value>")
        def permanent(value: int) -> str:
            session.permanent = bool(value)
            return ""

        assert "Expires" not in cookies(browser.get("/set/a/1"))[0]
        assert "Expires" in cookies(browser.get("/permanent/1"))[0]
        assert "Expires" in cookies(browser.get("/untouched"))[0]
        assert "Expires" not in cookies(browser.get("/permanent/0"))[0]
        assert cookies(browser.get("/untouched")) == []

    def test_permanent_alone_begins_no_session(self, site: Site, browser: Any) -> None:
        """``session.permanent = True`` before each request stores nothing for a visitor who does nothing."""

        @site.app.before_request
        def permanent() -> None:
            session.permanent = True

        assert cookies(browser.get("/untouched")) == []
        assert site.calls() == []
        assert cookies(browser.get("/set/a/1"))
        assert browser.get("/all").json == {"a": "1", "_permanent": True}

    def test_an_emptied_session_ends(self, site: Site, browser: Any) -> None:
        """Taking out the last key deletes record and cookie, also if it is still said to be permanent."""

        @site.app.route("/pop")
        def pop() -> str:
            session.permanent = True
            session.pop("a")
            return ""

        browser.get("/set/a/1")
        held = token(browser)
        assert "Max-Age=0" in cookies(browser.get("/pop"))[0]
        browser.set_cookie("session", held)
        assert browser.get("/all").json == {}

    def test_sessions_are_permanent_where_flask_session_would_have_it(self, tmp_path: Any) -> None:
        """Flask-Session's default holds where ``SESSION_TYPE`` is set, and ``SESSION_PERMANENT`` anywhere."""
        for config, expected in (
            ({}, False),
            ({"SESSION_PERMANENT": True}, True),
            ({"SESSION_TYPE": "filesystem"}, True),
            ({"SESSION_TYPE": "filesystem", "SESSION_PERMANENT": False}, False),
        ):
            site = Site()
            site.app.config.update(config)
            browser = site.app.test_client()
            assert ("Expires" in cookies(browser.get("/set/a/1"))[0]) is expected
            with browser.session_transaction() as held:
                assert held.permanent is expected


class TestIds:
    """Changes of the id."""

    def test_regenerate_as_flask_session_has_it(self, site: Site, browser: Any) -> None:
        """``app.session_interface.regenerate(session)`` changes the id and keeps the data; the old id is dead."""

        @site.app.route("/regenerate")
        def regenerate() -> str:
            flask.current_app.session_interface.regenerate(flask.session)  # type: ignore[attr-defined]
            return ""

        browser.get("/set/a/1")
        old = token(browser)
        browser.get("/regenerate")
        assert token(browser) != old
        assert browser.get("/all").json == {"a": "1"}
        browser.set_cookie("session", old)
        assert browser.get("/all").json == {}

    def test_a_slow_page_does_not_take_a_new_cookie_back(self, site: Site, browser: Any) -> None:
        """A permanent session's cookie goes out with each answer, but not the old one after a login elsewhere."""
        read, logged_in = threading.Event(), threading.Event()

        @site.app.route("/slow")
        def slow() -> str:
            session.get("a")
            read.set()
            logged_in.wait(5)
            return ""

        @site.app.route("/login")
        def login() -> str:
            session.login("ann")
            return ""

        with browser.session_transaction() as held:
            held["a"], held.permanent = 1, True
        other = site.app.test_client()
        other.set_cookie("session", token(browser))
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(other.get("/slow")))
        thread.start()
        assert read.wait(5)
        assert cookies(browser.get("/login"))
        logged_in.set()
        thread.join()
        assert cookies(answers[0]) == []

    @pytest.fixture
    def login(self, site: Site) -> None:
        @site.app.route("/in/<name>")
        def in_(name: str) -> str:
            session["_user_id"], session["mine"] = name, f"of {name}"
            return ""

        @site.app.route("/out")
        def out() -> str:
            session.pop("_user_id", None)
            session["goodbye"] = True
            return ""

    @pytest.mark.usefixtures("login")
    def test_the_subject_follows_the_key(self, site: Site, browser: Any) -> None:
        """Who writes the key of Flask-Login logs somebody in: a new id, and the session is found by its subject."""
        browser.get("/set/cart/tea")
        old = token(browser)
        browser.get("/in/7")
        assert token(browser) != old
        assert browser.get("/all").json == {"cart": "tea", "_user_id": "7", "mine": "of 7"}
        with site.app.app_context():
            assert len(site.limpet.manager.blocking.sessions_of("7")) == 1
            assert site.limpet.manager.blocking.revoke_all("7") == 1
        assert browser.get("/all").json == {}

    @pytest.mark.usefixtures("login")
    def test_a_logout_of_the_key_ends_the_login(self, site: Site, browser: Any) -> None:
        """What else is in the session moves to a new one; the old cookie is dead, and nothing is found any more."""
        browser.get("/in/7")
        old = token(browser)
        browser.get("/out")
        assert token(browser) != old
        assert browser.get("/all").json == {"mine": "of 7", "goodbye": True}
        with site.app.app_context():
            assert site.limpet.manager.blocking.sessions_of("7") == []
        browser.set_cookie("session", old)
        assert browser.get("/all").json == {}

    @pytest.mark.usefixtures("login")
    def test_another_user_takes_over_nothing(self, site: Site, browser: Any) -> None:
        """A login over somebody else's leaves behind what that one had."""
        browser.get("/in/7")
        browser.get("/set/cart/tea")
        browser.get("/in/8")
        assert browser.get("/all").json == {"_user_id": "8", "mine": "of 8"}
