"""`make release` finds what must not be published, and what would be published holds on the package index."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from scripts import release_checks as checks
from scripts.check_tree import kept_files

ROOT = Path(__file__).parents[2]


def git(root: Path, *words: str) -> None:
    """Run git in a repository that belongs to nobody."""
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository with a small package of our name, without a tag."""
    package = tmp_path / "src" / "limpet"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.2.0"\n\n\ndef open_it(path, times=1):\n    return path\n')
    (package / "py.typed").touch()
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- A line.\n\n## [0.1.0]\n\n- The first.\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "limpet"\n[project.optional-dependencies]\nredis = []\n'
        '[project.urls]\nSource = "https://example.org/somebody/limpet"\n'
    )
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def commit(project: Path) -> None:
    """Keep what is there."""
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "more")


# --- version, changelog, names ----------------------------------------------------------------


def test_a_release_asks_for_a_line_in_the_changelog(project: Path) -> None:
    assert list(checks.changelog_problems("0.2.0", checks.changes(project, "0.2.0"))) == []
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- The first.\n")
    (problem,) = checks.changelog_problems("0.2.0", checks.changes(project, "0.2.0"))
    assert "no line for 0.2.0" in problem
    assert checks.changes(project, "0.1.0") == "- The first."


def test_a_version_is_released_once(project: Path) -> None:
    assert checks.last_tag(project) is None
    git(project, "tag", "v0.2.0")
    assert checks.last_tag(project) == "v0.2.0"
    assert list(checks.version_problems(project, "0.2.0")) == []
    git(project, "commit", "-q", "--allow-empty", "-m", "more")
    (problem,) = checks.version_problems(project, "0.2.0")
    assert "raise __version__" in problem
    assert list(checks.version_problems(project, "0.3.0")) == []


def test_a_public_name_that_goes_is_named_in_the_changelog(project: Path) -> None:
    git(project, "tag", "v0.2.0")
    module = project / "src" / "limpet" / "__init__.py"
    assert list(checks.api_problems(project, "v0.2.0", "")) == []
    module.write_text(module.read_text().replace(", times=1", ""))
    (problem,) = checks.api_problems(project, "v0.2.0", "- Something else.")
    assert "since v0.2.0" in problem
    assert "times" in problem
    assert list(checks.api_problems(project, "v0.2.0", "- `open_it` no longer takes `times`.")) == []
    module.write_text('__version__ = "0.2.0"\n')
    assert any("open_it" in each for each in checks.api_problems(project, "v0.2.0", "- Something else."))


def test_the_addresses_are_those_of_the_repository(project: Path) -> None:
    assert list(checks.address_problems(project)) == []
    git(project, "remote", "add", "origin", "git@example.org:somebody/limpet.git")
    assert list(checks.address_problems(project)) == []
    git(project, "remote", "set-url", "origin", "https://example.org/else/limpet.git")
    assert "[project.urls] says example.org/somebody/limpet" in next(iter(checks.address_problems(project)))
    git(project, "remote", "set-url", "origin", "../limpet")  # a clone of a clone on this machine
    assert list(checks.address_problems(project)) == []


# --- what the files hold ----------------------------------------------------------------------

METADATA = "Metadata-Version: 2.4\nName: limpet\nProvides-Extra: redis\nProject-URL: Source, https://a.b/c\n\n"
ABOUT = {
    "limpet-0.2.0.dist-info/METADATA": METADATA + "words\n" * 500,
    "limpet-0.2.0.dist-info/entry_points.txt": "",
    "limpet-0.2.0.dist-info/licenses/LICENSE": "",
}
PACKAGE = {"limpet/__init__.py": "", "limpet/py.typed": ""}


def wheel(project: Path, files: dict[str, str]) -> Path:
    """Write a wheel that holds these files."""
    path = project.parent / "limpet-0.2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_wheel_holds_the_package_and_nothing_else(project: Path) -> None:
    assert list(checks.wheel_problems(project, wheel(project, ABOUT | PACKAGE))) == []
    (project / "src" / "limpet" / "page.html").touch()
    (problem,) = checks.wheel_problems(project, wheel(project, ABOUT | PACKAGE))
    assert problem.endswith("lacks limpet/page.html")
    (project / "src" / "limpet" / "page.html").unlink()
    (problem,) = checks.wheel_problems(project, wheel(project, ABOUT | PACKAGE | {"tests/test_a.py": ""}))
    assert "holds tests/test_a.py" in problem
    no_types = {"limpet/__init__.py": ""}
    assert any("py.typed" in each for each in checks.wheel_problems(project, wheel(project, ABOUT | no_types)))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("[more](docs/more.md)", "docs/more.md"),
        ("![a picture](docs/a.svg)", "docs/a.svg"),
        ("[here](#here) and [there](https://example.org/a)", None),
        ("<!--- invisible-code: python", "only for tests"),
    ],
)
def test_a_readme_that_would_not_hold_on_the_index_is_found(project: Path, written: str, found: str | None) -> None:
    metadata = Message()
    metadata["Provides-Extra"] = "redis"
    metadata["Project-URL"] = "Source, https://a.b/c"
    metadata.set_payload("words\n" * 500 + written)
    problems = list(checks.metadata_problems(project, metadata))
    assert [found in each for each in problems] == [True] if found else problems == []


def test_extras_of_developers_are_not_published(project: Path) -> None:
    metadata = Message()
    metadata["Provides-Extra"] = "dev"
    metadata.set_payload("words\n" * 500)
    problems = list(checks.metadata_problems(project, metadata))
    assert any("extra dev " in each for each in problems)
    assert any("extra redis " in each for each in problems)


def test_a_source_distribution_is_the_repository(project: Path) -> None:
    def sdist(*more: str) -> Path:
        path = project.parent / "limpet-0.2.0.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in [*map(str, kept_files(project)), *more]:
                archive.add(project / "pyproject.toml", f"limpet-0.2.0/{name}")
        return path

    whole = sdist("PKG-INFO")
    assert list(checks.sdist_problems(project, whole)) == []
    (project / "new.py").touch()
    assert "lacks new.py" in next(iter(checks.sdist_problems(project, whole)))
    assert "holds sessions.db" in next(iter(checks.sdist_problems(project, sdist("sessions.db"))))


# --- this project -----------------------------------------------------------------------------


def test_links_and_pictures_of_the_readme_hold_on_the_index() -> None:
    """Each leads to a file of this repository, under the address that the project has."""
    text = ProjectMetadata(str(ROOT), PluginManager()).core.readme
    source = checks.urls_of(ROOT)["Source"]
    raw = source.replace("https://github.com/", "https://raw.githubusercontent.com/")
    assert checks.RELATIVE_LINK.findall(text) == []
    ours = re.findall(rf"\]\((?:{source}/blob|{raw})/main/([^)#]+)[^)]*\)", text)
    assert len(ours) >= 20
    assert [path for path in ours if not (ROOT / path).exists()] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert pictures
    assert all(picture.startswith(f"{raw}/main/") for picture in pictures)
    assert "invisible-code" not in text


def test_one_address_everywhere() -> None:
    """What names the repository names the one in ``[project.urls]``."""
    source = checks.urls_of(ROOT)["Source"].removeprefix("https://github.com/")
    named = {
        (str(path), found)
        for path in kept_files(ROOT)
        if path.suffix in {".cff", ".md", ".toml", ".yml", ".yaml"}
        for found in re.findall(r"github(?:usercontent)?\.com/([\w.-]+/limpet)\b", (ROOT / path).read_text())
    }
    assert {found for _, found in named} == {source}
    assert ("CITATION.cff", source) in named
