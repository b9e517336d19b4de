"""`make release` finds what must not be published, and what would be published holds on the package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import hatch_metadata
from scripts import release_checks as checks
from scripts.check_tree import kept_files

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/somebody/limpet"


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
        f'[tool.hatch.metadata.hooks.custom]\nrepository = "{REPOSITORY}"\n'
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
    assert list(checks.changelog_problems(project, "0.2.0", checks.changes(project, "0.2.0"))) == []
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- The first.\n")
    (problem,) = checks.changelog_problems(project, "0.2.0", checks.changes(project, "0.2.0"))
    assert "no line for 0.2.0" in problem
    assert checks.changes(project, "0.1.0") == "- The first."


def test_a_line_may_wait_in_a_file_of_its_own_until_the_release(project: Path) -> None:
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- The first.\n")
    waiting = project / "changes" / "open-it.removed.md"
    waiting.parent.mkdir()
    waiting.write_text("`open_it` takes no `times`.\n")
    said = checks.changes(project, "0.2.0")
    assert said == "- `open_it` takes no `times`."
    assert list(checks.changelog_problems(project, "0.2.0", said)) == []
    (problem,) = checks.changelog_problems(project, "0.1.0", checks.changes(project, "0.1.0"))
    assert problem.startswith("CHANGELOG.md has [0.1.0] without open-it.removed.md")


def test_the_changelog_is_put_together_from_files(tmp_path: Path) -> None:
    """With this project's own settings: what was written under [Unreleased] by hand goes along."""
    shutil.copytree(ROOT / "changes", tmp_path / "changes", ignore=shutil.ignore_patterns("*.*.md"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    log = tmp_path / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- By hand.\n\n## [0.1.0]\n\n- The first.\n")
    (tmp_path / "changes" / "logout-in-a-stream.fixed.md").write_text("A logout\nin a stream.\n")
    (tmp_path / "changes" / "zebra.added.md").write_text("A zebra.\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    command = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", "0.2.0", "--date", "2030-01-31"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert [line for line in log.read_text().splitlines() if line] == [
        "# Changelog",
        "## [Unreleased]",
        "## [0.2.0] - 2030-01-31",
        "### Added",
        "- A zebra.",
        "### Fixed",
        "- A logout",
        "  in a stream.",
        "### Fixed",
        "- By hand.",
        "## [0.1.0]",
        "- The first.",
    ]
    assert checks.fragments(tmp_path) == []
    (tmp_path / "changes" / "zebra.news.md").write_text("A zebra.\n")
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "Invalid news fragment name: zebra.news.md" in done.stdout + done.stderr
    assert done.returncode


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


def test_the_address_is_that_of_the_repository(project: Path) -> None:
    assert list(checks.address_problems(project)) == []
    git(project, "remote", "add", "origin", "git@github.com:somebody/limpet.git")
    assert list(checks.address_problems(project)) == []
    git(project, "remote", "set-url", "origin", "https://github.com/else/limpet.git")
    (problem,) = checks.address_problems(project)
    assert f"pyproject.toml says {REPOSITORY}" in problem
    git(project, "remote", "set-url", "origin", "../limpet")  # a clone of a clone on this machine
    assert list(checks.address_problems(project)) == []


def test_a_repository_that_is_public_is_named(project: Path) -> None:
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace(REPOSITORY, ""))
    assert list(checks.address_problems(project)) == []  # there is none yet
    git(project, "remote", "add", "origin", "git@github.com:somebody/limpet.git")
    (problem,) = checks.address_problems(project)
    assert "pyproject.toml names no repository" in problem


def test_no_other_file_names_another_repository(project: Path) -> None:
    (project / "CITATION.cff").write_text("repository-code: https://github.com/else/limpet\n")
    (problem,) = checks.address_problems(project)
    assert problem == f"CITATION.cff names else/limpet, and pyproject.toml names {REPOSITORY}"


def test_a_public_repository_says_who_looks_at_a_change(project: Path) -> None:
    owners = project / ".github" / "CODEOWNERS"
    owners.parent.mkdir()
    owners.write_text("# @somebody\n/src/\n")
    (problem,) = checks.address_problems(project)
    assert "CODEOWNERS names no account" in problem
    owners.write_text("/src/ @somebody\n")
    assert list(checks.address_problems(project)) == []


# --- what the files hold ----------------------------------------------------------------------

URLS = "".join(f"Project-URL: {label}, {url}\n" for label, url in hatch_metadata.urls(REPOSITORY).items())
METADATA = f"Metadata-Version: 2.4\nName: limpet\nProvides-Extra: redis\n{URLS}\n"
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
    for label, url in hatch_metadata.urls(REPOSITORY).items():
        metadata["Project-URL"] = f"{label}, {url}"
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
    text = hatch_metadata.readme((ROOT / "README.md").read_text(encoding="utf-8"), REPOSITORY)
    raw = "https://raw.githubusercontent.com/somebody/limpet"
    assert checks.RELATIVE_LINK.findall(text) == []
    ours = re.findall(rf"\]\((?:{REPOSITORY}/blob|{raw})/main/([^)#]+)[^)]*\)", text)
    assert len(ours) >= 20
    assert [path for path in ours if not (ROOT / path).exists()] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert pictures
    assert all(picture.startswith(f"{raw}/main/") for picture in pictures)
    assert "invisible-code" not in text


def test_without_a_repository_the_readme_leads_nowhere() -> None:
    """It has no links to pages and no pictures, nothing that is made of links alone, and its code as it was."""
    whole = (ROOT / "README.md").read_text(encoding="utf-8")
    text = hatch_metadata.readme(whole, "")
    assert checks.RELATIVE_LINK.findall(text) == []
    for gone in ("![", "guide", "More\n", "## Read on", "invisible-code", "github.com"):
        assert gone not in text, gone
    program = re.search(r'^```python title="app.py"\n(.*?)^```$', whole, re.MULTILINE | re.DOTALL)
    assert program is not None
    assert program[1] in text
    assert "The\ntutorial goes on from here" in text
    assert text.endswith("MIT license.\n")


@pytest.mark.parametrize(
    "wrong", ["github.com/somebody/limpet", "https://example.org/somebody/limpet", REPOSITORY + "/"]
)
def test_an_address_that_is_no_repository_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"write https://github\.com/OWNER/NAME"):
        hatch_metadata.urls(wrong)
    assert hatch_metadata.urls("") == {}
    assert hatch_metadata.urls(REPOSITORY)["Documentation"] == "https://somebody.github.io/limpet/"


def test_what_is_built_has_the_address_of_this_project() -> None:
    """The build reads it where ``make release`` does."""
    core = ProjectMetadata(str(ROOT), PluginManager()).core
    assert core.urls == hatch_metadata.urls(checks.repository_of(ROOT))
    assert core.readme == hatch_metadata.readme(
        (ROOT / "README.md").read_text(encoding="utf-8"), checks.repository_of(ROOT)
    )
    assert core.dynamic == []


def test_one_address_everywhere() -> None:
    assert [problem for problem in checks.address_problems(ROOT) if " names " in problem] == []
