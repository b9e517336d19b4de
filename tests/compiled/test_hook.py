"""The build hook compiles when it is asked, says so when it cannot, and leaves the pure wheel alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hatch_build
from limpet import _native

ROOT = Path(__file__).parents[2]


def _hook(folder: Path) -> hatch_build.CompileHook:
    return hatch_build.CompileHook(str(folder), {}, None, None, str(folder), "wheel")  # type: ignore[arg-type]


def test_a_wheel_is_pure_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable nothing is needed and nothing is done."""
    monkeypatch.delenv("LIMPET_COMPILE", raising=False)
    found: dict[str, Any] = {"force_include": {}}
    hook = _hook(tmp_path)
    hook.initialize("standard", found)
    assert found == {"force_include": {}}
    assert hook.dependencies() == []


def test_it_fails_where_it_cannot_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that was asked to compile never makes a pure wheel in silence; what is needed is named."""
    monkeypatch.setenv("LIMPET_COMPILE", "1")
    (tmp_path / "src" / "limpet").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    hook = _hook(tmp_path)
    assert any(each.startswith("mypy") for each in hook.dependencies())
    with pytest.raises(RuntimeError, match="a C compiler and Python's headers"):
        hook.initialize("standard", {"force_include": {}})


def test_an_editable_installation_is_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled and editable is a contradiction, and an error."""
    monkeypatch.setenv("LIMPET_COMPILE", "1")
    with pytest.raises(RuntimeError, match="editable"):
        _hook(tmp_path).initialize("editable", {"force_include": {}})


@pytest.mark.parametrize("name", hatch_build.COMPILED)
def test_what_is_compiled_is_there(name: str) -> None:
    """Each module in the list is a file: one that is renamed or split takes its place in the list along."""
    assert (ROOT / "src" / "limpet" / name).is_file()


def test_the_build_is_told() -> None:
    """It is one of two."""
    assert _native.build() in ("compiled", "pure")
