"""``limpet keys``."""

from __future__ import annotations

import pytest

from limpet import Keyring
from limpet.cli import main

ONE = "kH7mZ2qN-4tRwXb9Yc1LfVs6DjPg8aUe0oTiQ5"
TWO = "Wn3pYx8Lq-1vKzRt6Bm9HcJd4SfGa7Ue2oXiT0"


def test_rotate_puts_a_new_secret_in_front(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed value has the new one first, then as many of the old ones as are to be kept."""
    monkeypatch.setenv("LIMPET_SECRET", f"{ONE} {TWO}")
    assert main(["keys", "rotate"]) == 0
    new, *old = capsys.readouterr().out.split()
    assert old == [ONE]
    assert new not in (ONE, TWO)
    assert len(Keyring([new, *old])) == 2
    assert main(["keys", "rotate", "--keep", "0"]) == 0
    assert len(capsys.readouterr().out.split()) == 1


def test_list_shows_no_secret(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each, the newest first, and nothing of the secrets themselves."""
    monkeypatch.setenv("LIMPET_SECRET", f"{ONE} {TWO}")
    assert main(["keys", "list"]) == 0
    out = capsys.readouterr().out
    assert [line.split("  ")[1] for line in out.splitlines()] == ["signs and encrypts", "is still accepted"]
    assert ONE[:8] not in out


def test_without_a_secret_it_says_how_to_make_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and the command that makes the first."""
    monkeypatch.delenv("LIMPET_SECRET", raising=False)
    assert main(["keys", "rotate"]) == 1
    assert "limpet keygen" in capsys.readouterr().err
