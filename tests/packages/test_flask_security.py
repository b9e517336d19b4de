"""Flask-Security, unchanged: its forms, its freshness of a login, and the identity that it keeps in the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask_security import (
    AsaList,
    RoleMixin,
    Security,
    SQLAlchemySessionUserDatastore,
    UserMixin,
    auth_required,
    current_user,
    hash_password,
)
from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, create_engine
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import backref, declarative_base, relationship, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from tests.packages.flask_site import KINDS, field, make_app

Base: Any = declarative_base()


memberships = Table(
    "memberships",
    Base.metadata,
    Column("user_id", ForeignKey("user.id"), primary_key=True),
    Column("role_id", ForeignKey("role.id"), primary_key=True),
)


class Role(Base, RoleMixin):  # type: ignore[misc]
    __tablename__ = "role"
    id = Column(Integer, primary_key=True)  # type: ignore[assignment]
    name = Column(String, unique=True)  # type: ignore[assignment]
    permissions = Column(MutableList.as_mutable(AsaList()), nullable=True)  # type: ignore[assignment]


class User(Base, UserMixin):  # type: ignore[misc]
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)  # type: ignore[assignment]
    email = Column(String, unique=True)  # type: ignore[assignment]
    password = Column(String)  # type: ignore[assignment]
    active = Column(Boolean)  # type: ignore[assignment]
    fs_uniquifier = Column(String(64), unique=True)  # type: ignore[assignment]
    roles = relationship("Role", secondary=memberships, backref=backref("users", lazy="dynamic"))


@pytest.fixture
def database() -> Iterator[Any]:
    """Return a session of SQLAlchemy."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    session = scoped_session(sessionmaker(bind=engine))
    yield session
    session.remove()
    engine.dispose()


def site(kind: str, folder: Path, database: Any) -> flask.Flask:
    """Return an application with one user, ann."""
    app = make_app(
        kind,
        folder,
        SECURITY_PASSWORD_SALT="a salt of some length",
        SECURITY_PASSWORD_HASH="plaintext",  # as its documentation has it for tests
        SECURITY_PASSWORD_SCHEMES=["plaintext"],
        SECURITY_PASSWORD_CONFIRM_REQUIRED=False,
        SECURITY_CHANGEABLE=True,
        SECURITY_SEND_PASSWORD_CHANGE_EMAIL=False,
    )
    users = SQLAlchemySessionUserDatastore(database, User, Role)
    app.security = Security(app, users)  # type: ignore[attr-defined]

    @app.route("/me")
    @auth_required()
    def me() -> str:
        email: str = current_user.email
        return email

    with app.app_context():
        users.create_user(email="ann@example.com", password=hash_password("a long password"))
        database.commit()
    return app


@KINDS
def test_its_login_form(kind: str, tmp_path: Path, database: Any) -> None:
    """In by its form, which has a token of its own, and out; the session before the login is not the one after it."""
    browser = site(kind, tmp_path, database).test_client()
    assert browser.get("/me").status_code == 302
    token = field(browser.get("/login").text, "csrf_token")
    before = browser.get_cookie("session")
    form = {"email": "ann@example.com", "password": "a long password", "csrf_token": token}
    assert browser.post("/login", data={**form, "password": "wrong"}).status_code == 200
    assert browser.post("/login", data=form).status_code == 302
    after = browser.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert browser.get("/me").text == "ann@example.com"
    assert browser.post("/logout").status_code == 302
    assert browser.get("/me").status_code == 302
    if kind != "cookie:":
        browser.set_cookie("session", after.value)
        assert browser.get("/me").status_code == 302


@KINDS
def test_a_change_of_password_ends_what_was_logged_in_before(kind: str, tmp_path: Path, database: Any) -> None:
    """It changes the identity in the session; this browser is logged in by the new one, another one no longer."""
    app = site(kind, tmp_path, database)
    browser, other = app.test_client(), app.test_client()
    for each in (browser, other):
        token = field(each.get("/login").text, "csrf_token")
        form = {"email": "ann@example.com", "password": "a long password", "csrf_token": token}
        assert each.post("/login", data=form).status_code == 302
        assert each.get("/me").text == "ann@example.com"
    token = field(browser.get("/change").text, "csrf_token")
    form = {"password": "a long password", "new_password": "a longer password", "csrf_token": token}
    form["new_password_confirm"] = form["new_password"]
    assert browser.post("/change", data=form).status_code == 302
    assert browser.get("/me").text == "ann@example.com"
    assert other.get("/me").status_code == 302
