"""What has to hold of a release: its version, its changelog, its public names, and what its files hold."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Final

import griffe

import hatch_metadata
from scripts.check_tree import kept_files

RELATIVE_LINK: Final = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")
NOT_SHIPPED: Final = frozenset({".dockerignore", ".editorconfig", ".gitattributes"})


# --- version and changelog --------------------------------------------------------------------


def version_of(root: Path) -> str:
    """Return the version that the package says it has.

    Raises:
        ValueError: It says none.
    """
    text = (root / "src/limpet/__init__.py").read_text(encoding="utf-8")
    if found := re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE):
        return found[1]
    raise ValueError("src/limpet/__init__.py has no __version__")


def last_tag(root: Path) -> str | None:
    """Return the newest tag of a release that the current commit descends from; None if there is none."""
    command = ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def version_problems(root: Path, version: str) -> Iterator[str]:
    """Yield a line if this version was released before, from another commit."""
    tag = f"v{version}"
    found = subprocess.run(
        ["git", "rev-list", "-n1", tag], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    if found and found != head:
        yield f"{version} was released from {found[:9]}: raise __version__ in src/limpet/__init__.py"


def changes(root: Path, version: str) -> str:
    """Return what the changelog says of a version, or else of what is unreleased, with what waits in ``changes``."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## \[", text, flags=re.MULTILINE)[1:]
    by_name = {section.partition("]")[0]: section.partition("\n")[2].strip() for section in sections}
    waiting = (path.read_text(encoding="utf-8").strip() for path in fragments(root))
    return (
        by_name.get(version) or "\n".join([by_name.get("Unreleased", ""), *(f"- {text}" for text in waiting)]).strip()
    )


def fragments(root: Path) -> list[Path]:
    """Return the entries that wait in ``changes`` for the next release, one file each."""
    return sorted(path for path in (root / "changes").glob("*.md") if path.name != "README.md")


def changelog_problems(root: Path, version: str, said: str) -> Iterator[str]:
    """Yield a line if the changelog says nothing, or does not say yet what waits in ``changes``."""
    waiting = fragments(root)
    if not waiting and not re.search(r"^[-*] \S", said, re.MULTILINE):
        yield f"CHANGELOG.md has no line for {version}, and changes/ no file: say what a user would notice"
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if waiting and f"\n## [{version}]" in text:
        names = ", ".join(path.name for path in waiting)
        yield f"CHANGELOG.md has [{version}] without {names}, which wait in changes/: make changelog VERSION=…"


# --- public names -----------------------------------------------------------------------------


def api_problems(root: Path, tag: str, said: str) -> Iterator[str]:
    """Yield a line for each public name that breaks its users since a tag, and that the changelog does not name."""
    before = griffe.load_git("limpet", ref=tag, repo=root, search_paths=["src"], resolve_aliases=True)
    now = griffe.load("limpet", search_paths=[root / "src"], resolve_aliases=True)
    for breakage in griffe.find_breaking_changes(before, now):
        name = breakage.obj.name
        if not re.search(rf"\b{re.escape(name)}\b", said):
            what = " ".join(breakage.explain(griffe.ExplanationStyle.ONE_LINE).split())
            yield f"since {tag}: {what}; CHANGELOG.md does not name {name}"


# --- addresses --------------------------------------------------------------------------------


def repository_of(root: Path) -> str:
    """Return the address of the public repository, as ``pyproject.toml`` has it; empty if it names none."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    found: str = settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    return found


def address_problems(root: Path) -> Iterator[str]:
    """Yield a line if the repository is somewhere else than ``pyproject.toml`` says, or if another file says so."""
    said = repository_of(root)
    done = subprocess.run(["git", "remote", "get-url", "origin"], cwd=root, capture_output=True, text=True, check=False)
    place = done.stdout.strip()
    if done.returncode or place.startswith(("/", ".", "file:")):  # a clone of a clone on this machine
        print(f"   there is no remote repository to compare addresses with; pyproject.toml names {said or 'none'}")
    elif not said:
        yield f"pyproject.toml names no repository, at [tool.hatch.metadata.hooks.custom], and this one is {place}"
    elif not place.removesuffix(".git").replace(":", "/").endswith(said.removeprefix("https://")):
        yield f"pyproject.toml says {said}, and the remote repository is {place}"
    for path in kept_files(root):
        if path.suffix not in {".cff", ".md", ".toml", ".yml", ".yaml"}:
            continue
        for found in re.findall(r"github(?:usercontent)?\.com/([\w.-]+/limpet)\b", (root / path).read_text("utf-8")):
            if not said.endswith(f"/{found}"):
                yield f"{path} names {found}, and pyproject.toml names {said or 'no repository'}"
    owners = root / ".github" / "CODEOWNERS"
    if said and owners.exists() and not re.search(r"^[^#\n]*\s@\w", owners.read_text(encoding="utf-8"), re.MULTILINE):
        yield "there is a repository, and .github/CODEOWNERS names no account that is asked to look at a change"


# --- files ------------------------------------------------------------------------------------


def sdist_problems(root: Path, sdist: Path) -> Iterator[str]:
    """Yield a line for each file of the repository that a source distribution lacks, and for each that it adds."""
    with tarfile.open(sdist) as archive:
        held = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    kept = {path.as_posix() for path in kept_files(root) if path.name not in NOT_SHIPPED and path.parts[0] != "dist"}
    for name in sorted(kept - held):
        yield f"{sdist.name}: lacks {name}; name it in pyproject.toml, at [tool.hatch.build.targets.sdist]"
    for name in sorted(held - kept - {"PKG-INFO"}):
        yield f"{sdist.name}: holds {name}, which is not in the repository"


def wheel_problems(root: Path, wheel: Path) -> Iterator[str]:
    """Yield a line for each thing that is wrong in a wheel: files, links of its README, extras, addresses."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (place,) = (name for name in held if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(place))
    about = PurePosixPath(place).parts[0]
    package = {name for name in held if PurePosixPath(name).parts[0] != about}
    sources = {path.relative_to("src").as_posix() for path in kept_files(root) if path.parts[0] == "src"}
    for name in sorted(sources - package):
        yield f"{wheel.name}: lacks {name}"
    for name in sorted(package - sources):
        yield f"{wheel.name}: holds {name}, which is not in src"
    for name in ("limpet/py.typed", f"{about}/entry_points.txt", f"{about}/licenses/LICENSE"):
        if name not in held:
            yield f"{wheel.name}: lacks {name}"
    yield from (f"{wheel.name}: {problem}" for problem in metadata_problems(root, metadata))


def metadata_problems(root: Path, metadata: Message) -> Iterator[str]:
    """Yield what is wrong with what the package index would show."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(metadata.get_all("Provides-Extra", []))
    for name in sorted(extras ^ set(project["optional-dependencies"])):
        yield f"the extra {name} is only on one side: in pyproject.toml, or published"
    if sorted(metadata.get_all("Project-URL", [])) != sorted(
        f"{label}, {url}" for label, url in hatch_metadata.urls(repository_of(root)).items()
    ):
        yield "its URLs are not those of the repository that pyproject.toml names"
    text = metadata.get_payload()
    if not isinstance(text, str) or len(text) < 1_000:
        yield "it has no README"
        return
    for link in RELATIVE_LINK.findall(text):
        yield f"its README links to {link}, which is nowhere on the package index"
    if "invisible-code" in text:
        yield "its README shows code that is only for tests"
