"""Where sessions are listed, it is told which of them are bound: the word, the algorithm, when last proven."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner

from limpet.cli.group import limpet
from tests.admin.operator import Operator
from tests.admin.operator import Site as AdminSite
from tests.bound.conftest import Build
from tests.bound.device import Browser, Device, asgi


async def test_in_lists_of_devices_and_in_what_is_kept_of_somebody(build: Build) -> None:
    site = build()
    ann = await Browser(site.send, Device("RS256")).log_in()
    site.clock.advance(300)
    await ann.refresh()
    half = Browser(site.send)
    await half.get("/login/ann")
    await half.register()
    plain = Browser(site.send)
    await plain.get("/login/ann")
    found = {info.algorithm: info for info in await site.manager.sessions_of("ann")}
    assert sorted(map(str, found)) == ["None", "RS256"]
    bound = found["RS256"]
    assert bound.bound
    assert bound.proven_at == bound.created_at + timedelta(seconds=300)
    assert [(info.bound, info.proven_at) for info in await site.manager.sessions_of("ann")].count((False, None)) == 2
    kept = [each["bound"] for each in await site.manager.export("ann")]
    assert sorted(each.get("alg", "") for each in kept) == ["", "ES256", "RS256"]
    assert next(each["key"] for each in kept if each.get("alg") == "RS256")["kty"] == "RSA", "a person's own data"


def test_on_the_command_line(tmp_path: Path, build: Build) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    site = build(store=url)
    site.clock.now = int(time.time() * 1000)  # which is what the command goes by

    async def visit() -> None:
        await Browser(site.send).log_in("ann")
        await Browser(site.send).get("/login/bob")
        await site.manager.shutdown()

    asyncio.run(visit())

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(limpet, [*arguments, "--store", url])
        assert done.exit_code == 0, done.output
        return done.stdout

    _, *lines = run("list", "--sort", "created").splitlines()
    assert {line.split()[2]: line.endswith("unknown (bound)") for line in lines} == {"ann": True, "bob": False}
    public_id = next(line.split()[0] for line in lines if " ann " in line)
    known = json.loads(run("show", public_id, "--json"))
    assert (known["bound"], known["algorithm"], known["proven"]) == (True, "ES256", known["created"])
    shown = dict(line.split(None, 1) for line in run("show", public_id).splitlines() if " " in line.strip())
    assert (shown["bound"], shown["algorithm"]) == ("True", "ES256")
    known = json.loads(run("show", next(line.split()[0] for line in lines if " bob " in line), "--json"))
    assert (known["bound"], known["algorithm"], known["proven"]) == (False, None, None)


async def test_on_the_page_of_the_operators() -> None:
    site = AdminSite(bound=True)
    ann = Browser(asgi(site.app))
    await ann.get("/login?as=ann")
    await ann.register()
    await ann.refresh()
    await site.visitor("bob")
    site.clock.advance(240)
    operator = Operator(site)
    await operator.look()
    rows = operator.rows()
    assert {("ann" in row): ("bound" in row) for row in rows} == {True: True, False: False}
    [public_id] = await site.ids("ann")
    await operator.look(f"/sessions/id/{public_id}")
    assert "Bound to its device, by ES256 last proven 4 min ago" in operator.text
    [public_id] = await site.ids("bob")
    await operator.look(f"/sessions/id/{public_id}")
    assert "Bound" not in operator.text
