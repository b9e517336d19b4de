"""One session for Django, Flask and FastAPI behind a real nginx: ``examples/mixed``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.mixed_site import ROOT, SITES, Visitor, serving
from tests.wsgi.test_threads import url_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.xdist_group("mixed")]
NAMES = {"django": "ann", "flask": "1", "fastapi": "1"}
"""How each of them shows who ann is: Django by the name of its user."""
NOBODY = dict.fromkeys(SITES, ("nobody", 0))


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of nginx, in front of three applications over one store."""
    with serving(tmp_path, url_of(request.param, request, tmp_path)) as url:
        yield url


async def test_one_session(site: str) -> None:
    """A login in one is a login in all, fifty clicks on all three at once count fifty, a logout ends it in all."""
    for number, first in enumerate(SITES):
        last = SITES[number - 1]
        async with Visitor(site) as visitor:
            await visitor.send(first, "add")
            anonymous = visitor.key
            await visitor.send(first, "login", name="ann")
            assert visitor.key != anonymous
            assert await visitor.everywhere() == {name: (who, 1) for name, who in NAMES.items()}
            await visitor.add_at_once(50)
            assert await visitor.everywhere() == {name: (who, 51) for name, who in NAMES.items()}
            async with Visitor(site) as thief:
                assert await thief.everywhere() == NOBODY
            await visitor.send(last, "logout")
            assert await visitor.everywhere() == NOBODY


def test_without_nginx_it_says_what_to_install(tmp_path: Path) -> None:
    """One sentence, and no traceback."""
    program = "import shutil, runpy; shutil.which = lambda *_, **__: None; runpy.run_module('examples.mixed.__main__', "
    program += "run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "apt-get install nginx-light" in done.stderr
    assert "Traceback" not in done.stderr
