"""The program that runs other people's documents, on small documents of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.__main__ import main

HEAD = "# Counting\n\nSome words.\n\n"


def document(folder: Path, *blocks: str) -> Path:
    path = folder / "page.md"
    path.write_text(HEAD + "\n\n".join(f"```python\n{block}\n```" for block in blocks))
    return path


def test_blocks_run_on_the_real_framework(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the prefix is put in; routes are asked, names left to the reader stand in, earlier blocks count."""
    page = document(
        tmp_path,
        "from nexios import NexiosApp\n\nstep = 2",
        "@app.post('/add/{number}')\nasync def add(req, res):\n"
        "    req.session['sum'] = req.session.get('sum', 0) + step\n"
        "    return res.json({'sum': req.session['sum'], 'what': get_product(1).name})",
    )
    assert main([str(page)]) == 0
    said = capsys.readouterr().out
    assert "block 2 (line 11): runs: POST /add/{number} 200; POST /add/{number} 200" in said
    assert "app stands in" in said
    assert "get_product stands in" in said
    assert "step from an earlier block" in said


def test_a_backend_is_put_to_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A class that keeps sessions counts visits, and keeps two visitors apart."""
    document(
        tmp_path,
        "from nexios.session.base import BaseSessionInterface\n\n"
        "class Kept(BaseSessionInterface):\n"
        "    shelf = {}\n"
        "    async def load(self):\n"
        "        self._data = dict(self.shelf.get(self.session_key, {}))\n"
        "    async def save(self):\n"
        "        self.session_key = self.session_key or self.generate_sid()\n"
        "        self.shelf[self.session_key] = dict(self._data)",
    )
    assert main([str(tmp_path)]) == 0
    assert "Kept counts visits" in capsys.readouterr().out


def test_a_typing_mistake_is_told_from_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name is the mistake of the block, and what it does put right is said; a broken handler fails."""
    typo = "from nexios import NexiosApp\nap = NexiosAp()"
    broken = "from nexios import NexiosApp\n@app.get('/')\nasync def home(req, res):\n    return res.text(1 / 0)"
    document(tmp_path, typo)
    assert main([str(tmp_path)]) == 0
    assert "mistaken: NexiosAp is defined nowhere (NexiosApp is); put right, it runs" in capsys.readouterr().out
    document(tmp_path, typo, broken)
    assert main([str(tmp_path)]) == 1
    assert "block 2 (line 10): FAILS" in capsys.readouterr().out


def test_nothing_to_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder, or one without blocks, is no success."""
    assert main([]) == 2
    assert main([str(tmp_path)]) == 1
    assert "usage" in capsys.readouterr().err
