"""F22: a process that forks after it opened its store, as a preloading server does, shares nothing with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.local import KINDS, finish, running, url


@pytest.mark.parametrize("kind", KINDS)
def test_f22_fork(kind: str, tmp_path: Path) -> None:
    """Four children and their parent use the store that the parent had opened: each reads its own, all is kept."""
    with running("fork", url(kind, tmp_path)) as process:
        finish(process)
