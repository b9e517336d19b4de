"""Fixtures of the contract's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.nexios_visits import configured, visitor


@pytest.fixture(params=["cookie", "file"])
def visits(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that evaluates an expression over ``session`` in one request of one browser, on each backend.

    Every request first sees to it that ``n`` is 1, unless told ``seed=False``.
    """
    from limpet.adapters.nexios import FileSessionInterface

    options = {} if request.param == "cookie" else {"manager": FileSessionInterface, "session_dir": str(tmp_path / "s")}
    app = configured(**options)

    @app.get("/do")
    async def do(req: Any, res: Any) -> Any:
        source = req.query_params["expression"]
        session = req.session
        return res.json(eval(source, {"session": session, "sorted": sorted, "len": len}))  # noqa: S307 - the test's own

    @app.get("/seed")
    async def seed(req: Any, res: Any) -> Any:
        req.session["n"] = 1
        return res.text("seeded")

    browser = visitor(app)

    def evaluate(expression: str, *, seed: bool = True) -> Any:
        if seed:
            assert browser.get("/seed").status_code == 200
        response = browser.get("/do", params={"expression": expression})
        assert response.status_code == 200, response.text
        return response.json()

    return evaluate
