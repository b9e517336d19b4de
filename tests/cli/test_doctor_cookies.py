"""``limpet doctor --url`` explains why a cookie would not come back."""

from __future__ import annotations

import pytest

from tests.cli.running import Diagnosis, Shell

HOST = "__Host-session=x; Secure; HttpOnly; SameSite=Lax; Path=/"


def judge(shell: Shell, line: str | None, *arguments: str) -> Diagnosis:
    """Ask about a Set-Cookie line, over a store that has no fault."""
    more = () if line is None else ("--set-cookie", line)
    return shell.diagnose("--store", "memory:", *more, *arguments)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("session=x; SameSite=None; HttpOnly; Path=/", "it has SameSite=None, and it is not Secure"),
        ("session=x; Partitioned; HttpOnly; Path=/", "it is Partitioned, and it is not Secure"),
        ("__Secure-session=x; HttpOnly; Path=/", "its name begins with __Secure-, and it is not Secure"),
        ("__Host-session=x; HttpOnly; Path=/", "its name begins with __Host-, and it is not Secure"),
        ("__host-session=x; Secure; HttpOnly; Path=/app", "needs Path=/"),
        ("__Host-session=x; Secure; HttpOnly", "needs Path=/"),
        ("__Host-session=x; Secure; HttpOnly; Path=/; Domain=example.com", "has no Domain"),
        ("__Host-Http-session=x; Secure; Path=/", "needs HttpOnly"),
        (f"session={'x' * 4096}; HttpOnly; Path=/", "4,103 bytes"),
        ("session=; HttpOnly; Path=/; Max-Age=0", "a logout sends"),
        ("session=; HttpOnly; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a logout sends"),
    ],
)
def test_a_line_that_browsers_drop(shell: Shell, line: str, said: str) -> None:
    """The reason is said, whatever the address."""
    (fix,) = judge(shell, line).fixes
    assert said in fix


@pytest.mark.parametrize(
    ("line", "url", "said"),
    [
        (None, "http://shop.example.com/", "plain http"),
        ("session=x; Secure; HttpOnly; Path=/", "http://192.168.1.20:8000/", "plain http"),
        ("session=x; HttpOnly; Path=/; Domain=example.org", "https://shop.example.com/", "does not belong to"),
        ("session=x; HttpOnly; Path=/; Domain=0.0.1", "http://127.0.0.1/", "does not belong to"),
        ("session=x; HttpOnly; Path=/; Domain=com", "https://example.com/", "top-level domain"),
        ("session=x; HttpOnly; Path=/app", "https://example.com/application", "not sent to /application"),
    ],
)
def test_an_address_that_the_cookie_does_not_fit(shell: Shell, line: str | None, url: str, said: str) -> None:
    """The reason names the address."""
    (fix,) = judge(shell, line, "--url", url).fixes
    assert said in fix


@pytest.mark.parametrize(
    ("line", "url"),
    [
        (HOST, "https://shop.example.com/deep/down"),
        ("session=x; HttpOnly; Path=/; Domain=.example.com", "http://shop.example.com/"),
        ("session=x; HttpOnly; Path=/app", "https://example.com/app/cart"),
        ("session=x; HttpOnly; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://example.com/"),
        (HOST, "http://localhost:8000/"),
        (HOST, "http://127.0.0.1:8000/"),
    ],
)
def test_a_cookie_that_comes_back(shell: Shell, line: str, url: str) -> None:
    """Nothing is to be fixed, and one sentence says that it works."""
    found = judge(shell, line, "--url", url)
    assert found.fixes == []
    assert "sends it back" in found.says("fine", "browser")


def test_the_exception_for_localhost_is_mentioned(shell: Shell) -> None:
    """A Secure cookie over http works there in some browsers only."""
    known = {"localhost": True, "127.0.0.1": True, "[::1]": True, "127.0.0.2": False, "shop.localhost": False}
    for host, kept in known.items():
        said = judge(shell, HOST, "--url", f"http://{host}:8000/").says("note", "browser")
        keeps, drops = said.partition("an exception for this host")[::2]
        assert "Safari" in drops
        assert ("curl" in keeps) == kept
        assert "curl" not in drops


def test_development_mode_is_for_this_machine_alone(shell: Shell) -> None:
    """On another host it is to be fixed; on this one it is fine, with an unprefixed cookie."""
    shell.set(LIMPET_DEV="1")
    assert "unset LIMPET_DEV" in judge(shell, None, "--url", "http://shop.example.com/").says("fix", "browser")
    found = judge(shell, None, "--url", "http://127.0.0.1:8000/")
    assert found.ok
    assert found.says("fine", "cookie") == "limpet-session; HttpOnly; SameSite=Lax; Path=/"


@pytest.mark.parametrize(
    ("page", "url", "said"),
    [
        ("https://other.example.org/", "https://api.example.com/", "are two sites"),
        ("http://shop.example.com/", "https://shop.example.com/", "one is http and the other https"),
        ("http://localhost:3000/", "http://127.0.0.1:8000/", "the same machine and two sites"),
        ("http://10.0.0.1/", "http://10.1.0.1/", "are two sites"),
    ],
)
@pytest.mark.parametrize("same_site", ["SameSite=Lax", "SameSite=Strict", ""])
def test_a_page_of_another_site(shell: Shell, page: str, url: str, said: str, same_site: str) -> None:
    """SameSite keeps the cookie back, also when the line does not say; the page and the address are named."""
    (fix,) = judge(shell, f"session=x; HttpOnly; Path=/; {same_site}", "--url", url, "--page", page).fixes
    assert said in fix
    assert (same_site or "no SameSite") in fix


def test_a_page_of_another_site_may_send_samesite_none(shell: Shell) -> None:
    """That works, where third-party cookies are not blocked; Partitioned would help."""
    line = "session=x; Secure; HttpOnly; SameSite=None; Path=/"
    found = judge(shell, line, "--url", "https://api.example.com/", "--page", "https://www.example.org/")
    assert found.ok
    assert "Partitioned" in found.says("note", "browser")


@pytest.mark.parametrize("page", ["https://www.example.com/", "https://example.com/", "https://shop.example.com:8443/"])
def test_a_page_of_the_same_site_needs_credentials(shell: Shell, page: str) -> None:
    """The cookie is not kept back; a script on another origin still has to ask for it."""
    found = judge(shell, HOST, "--url", "https://shop.example.com/", "--page", page)
    assert found.ok
    assert "credentials: 'include'" in found.says("note", "browser")


def test_what_looks_like_one_site_may_be_two(shell: Shell) -> None:
    """Two names under one public suffix are two sites; which suffixes are public is not guessed."""
    found = judge(shell, HOST, "--url", "https://a.github.io/", "--page", "https://b.github.io/")
    assert found.ok
    assert "unless github.io is a public suffix" in found.says("note", "browser")


def test_the_value_of_a_line_is_never_shown(shell: Shell) -> None:
    """Somebody's session, read from standard input as browsers show it, is in no sentence."""
    found = shell.diagnose(
        "--store", "memory:", "--set-cookie", "-", stdin="Set-Cookie: session=q7-somebodys-id; HttpOnly; Path=/\n"
    )
    assert found.ok
    assert found.says("fine", "cookie") == "session; HttpOnly; Path=/"
    assert "q7-somebodys-id" not in str(found.findings)
