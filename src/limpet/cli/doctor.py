"""``limpet doctor``: check the configuration that the environment names, and say what to fix."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final
from urllib.parse import urlsplit

import click

from limpet import CookiePolicy, __version__
from limpet._native import build
from limpet.cli._application import check_settings, cookie_of
from limpet.cli._browser import Attributes, explain, of_policy, parse_set_cookie
from limpet.cli._configuration import check_kept, check_mode, check_secret, check_store, named_store
from limpet.cli._findings import Finding, Level, fine
from limpet.cli._loading import load
from limpet.cli._scale import Scale
from limpet.cli.group import Command
from limpet.cli.options import json_option, print_json, run, store_option
from limpet.errors import ConfigurationError

__all__ = ["command"]

_BUILDS: Final = {"compiled": "the compiled build", "pure": "the pure build: a wheel for this platform is faster"}
_INDENT: Final = 15  # columns in front of a sentence
_COLOURS: Final[dict[Level, str]] = {"fine": "green", "note": "yellow", "fix": "red"}


def _address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return an address as one types it into a browser; refuse what is none."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise click.BadParameter(f"{value!r} is not an address such as https://shop.example.com/")
    return value


def _set_cookie(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Attributes | None:
    """Return the attributes of a line. The value, which may be somebody's session, is dropped at once."""
    if value is None:
        return None
    try:
        return parse_set_cookie((sys.stdin.readline() if value == "-" else value).strip())
    except ValueError as error:
        raise click.BadParameter(f"this is not a Set-Cookie line: {error}") from error


@click.command("doctor", cls=Command)
@store_option
@click.option(
    "--app",
    metavar="MODULE:NAME",
    help="The application, its SessionManager, or a function that returns one of them: check the settings that it "
    "gives in code instead of the environment.",
)
@click.option(
    "--url",
    metavar="URL",
    callback=_address,
    help="Where a browser reaches the application: say why its cookie would not come back.",
)
@click.option(
    "--page",
    metavar="URL",
    callback=_address,
    help="With --url: the page that makes the request, if it is on another address.",
)
@click.option(
    "--set-cookie",
    "cookie",
    metavar="LINE",
    callback=_set_cookie,
    help="The Set-Cookie line to judge, the value left out or not; - reads it from standard input. "
    "Default: the cookie that this configuration gives.",
)
@click.option(
    "--pods",
    type=click.IntRange(min=1),
    metavar="N",
    help="Machines or containers that run the application: adds up their connections against the server's limit.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes of the application in each of them."
)
@click.option("--read-only", is_flag=True, help="Do not write, read and delete a probe record.")
@json_option
def command(
    store: str | None,
    app: str | None,
    url: str | None,
    page: str | None,
    cookie: Attributes | None,
    pods: int | None,
    workers: int | None,
    read_only: bool,
    as_json: bool,
) -> None:
    """Check LIMPET_STORE, LIMPET_SECRET and LIMPET_DEV, and the store that they name; or, with --app, an application.

    Run it as the user that runs the application, in the folder where the application runs. What an application gives
    SessionManager in its code is seen with --app alone, which imports it.

    Exit code 0: no problems; 1: there is something to fix; 2: usage.
    """
    if page is not None and url is None:
        raise click.UsageError("--page says where a request comes from: give --url, where it goes to, as well")
    if app is not None and store is not None:
        raise click.UsageError("--app brings its store: leave out --store")
    scale = Scale(pods=pods or 1, workers=workers or 1) if pods or workers else None
    findings = run(_diagnose(store, app, url, page, cookie, write=not read_only, scale=scale))
    count = Counter(finding.level for finding in findings)
    if as_json:
        print_json({"ok": not count["fix"], "findings": [asdict(finding) for finding in findings]})
    else:
        for line in _lines(findings):
            click.echo(line)
        click.echo()
        click.echo(_summary(count["fix"], any("does not exist" in finding.says for finding in findings)))
    if count["fix"]:
        raise click.exceptions.Exit(1)


async def _diagnose(
    store: str | None,
    app: str | None,
    url: str | None,
    page: str | None,
    cookie: Attributes | None,
    *,
    write: bool,
    scale: Scale | None,
) -> list[Finding]:
    if app is not None:
        manager = await load(app)
        dev, usual = manager.dev, cookie_of(manager)
        findings = list(check_settings(manager))
        findings.append(fine("store", f"a {type(manager.store).__name__}, from {app}"))
        findings += [finding async for finding in check_kept(manager.store, write=write, scale=scale)]
    else:
        dev, mode = check_mode()
        policy = CookiePolicy().for_development() if dev else CookiePolicy()
        usual = of_policy(policy, policy.derive_name(dev=dev))
        findings = [mode, *check_secret(dev, needed=_lives_in_cookie(store, dev))]
        findings += [finding async for finding in check_store(store, dev, write=write, scale=scale)]
    cookie = cookie or usual
    findings.insert(0, fine("limpet", f"{__version__}, {_BUILDS[build()]}"))
    findings.append(fine("cookie", str(cookie)))
    findings += explain(cookie, url, page, dev=dev)
    return findings


def _lives_in_cookie(store: str | None, dev: bool) -> bool:
    try:
        return named_store(store, dev).lower().startswith("cookie:")
    except ConfigurationError:
        return False  # the store's own check says so


def _summary(problems: int, unseen: bool) -> str:
    """Return the last line; ``unseen``: there is no store at its path, mistyped or not made yet."""
    if not problems:
        return (
            "No problems found. The store was not checked: it does not exist yet." if unseen else "No problems found."
        )
    return "1 problem to fix." if problems == 1 else f"{problems} problems to fix."


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for finding in findings:
        says = finding.says
        if width > 2 * _INDENT:  # for a person; a file or a pipe gets one line each
            says = textwrap.fill(says, width - _INDENT, break_on_hyphens=False).replace("\n", "\n" + " " * _INDENT)
        yield f"{click.style(f'{finding.level:<5}', fg=_COLOURS[finding.level])} {finding.about:<8} {says}"
