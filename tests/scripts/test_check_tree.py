"""`scripts/check_tree.py` finds what does not belong into the repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.check_tree import FORMER, kept_files, problems

ROOT = Path(__file__).parents[2]
NAME = "hold" + "fast"


def found(root: Path, name: str, content: str | bytes) -> list[str]:
    """Return what is found in a file."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(problems(root, Path(name)))


def test_the_former_name_is_nowhere_in_the_repository() -> None:
    assert FORMER.search(NAME.encode())
    kept = kept_files(ROOT)
    assert Path("pyproject.toml") in kept
    assert Path("scripts/check_tree.py") in kept
    assert [str(path) for path in kept if FORMER.search(str(path).encode() + (ROOT / path).read_bytes())] == []


@pytest.mark.parametrize("spelling", [NAME, NAME.upper(), NAME.title(), f"x{NAME}_url"])
def test_the_former_name_is_refused(tmp_path: Path, spelling: str) -> None:
    assert found(tmp_path, "a.md", f"fine\n{spelling}\n") == ["a.md:2: names the project by its former name"]
    assert found(tmp_path, "a.bin", b"\xff\n" + spelling.encode()) == ["a.bin:2: names the project by its former name"]
    assert len(found(tmp_path, f"{spelling}.md", "fine")) == 1
    assert len(found(tmp_path, f"{spelling}/a.md", "fine")) == 1


def test_long_files_of_python_are_refused(tmp_path: Path) -> None:
    assert found(tmp_path, "a.py", "x\n" * 400) == []
    assert "401 lines" in found(tmp_path, "a.py", "x\n" * 401)[0]
    assert found(tmp_path, "a.md", "x\n" * 401) == []


def test_large_files_are_refused(tmp_path: Path) -> None:
    assert found(tmp_path, "a", bytes(512 * 1024)) == []
    assert "is it generated?" in found(tmp_path, "a", bytes(512 * 1024 + 1))[0]


def test_paths_of_one_machine_are_refused(tmp_path: Path) -> None:
    for line in (f"{tmp_path}/x", "see /ho" + "me/me", "/ro" + "ot/x"):
        assert "a path of one machine" in found(tmp_path, "a.md", line)[0]
    assert found(tmp_path, "a.md", "https://example.org/home/page") == []


def test_hosts_of_registries_are_refused(tmp_path: Path) -> None:
    for host in ("pypi." + "org", "files.python" + "hosted.org", "registry." + "npmjs.org"):
        assert "registry" in found(tmp_path, "a.txt", f"https://{host}/simple")[0]


def test_ignored_files_are_left_out_and_new_ones_are_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in (".gitignore", "kept.py", "ignored.db"):
        (tmp_path / name).write_text("*.db\n")
    assert sorted(map(str, kept_files(tmp_path))) == [".gitignore", "kept.py"]


def test_an_unpacked_source_distribution_is_looked_at_without_git(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "src/limpet/a.py", ".ci/run"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for made in (".venv/lib/b.py", ".mypy_cache/c", "dist/d.whl", "src/limpet/__pycache__/a.pyc"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).touch()
    assert list(map(str, kept_files(tmp_path))) == [".ci/run", "pyproject.toml", "src/limpet/a.py"]


@pytest.mark.parametrize("name", [".sesskey", ".env", "inner/server.key", "a.pem"])
def test_secrets_that_a_program_left_are_refused(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, name, "x") == [f"{name}: by its name, it holds a secret"]
