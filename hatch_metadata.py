"""Says where the project is: its addresses, and the links of the README as the package index shows it.

One place names the public repository: ``repository`` in ``pyproject.toml``, at ``[tool.hatch.metadata.hooks.custom]``.
As long as it is empty there is none. What is built then names no address, which could be that of somebody else: the
metadata has no URLs, and the README no links to its own pages and no pictures.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_REPOSITORY: Final = re.compile(r"https://github\.com/(?P<owner>[A-Za-z0-9][A-Za-z0-9-]*)/(?P<name>[\w.-]+)")
_FOR_TESTS: Final = re.compile(r"<!--- invisible-code.*?--->\n\n?", re.DOTALL)
_TITLE: Final = re.compile(r'```python title="[^"\n]*"')
_RELATIVE: Final = r"\]\((?![a-z]+:|#)([^)\s]+)\)"
_PICTURE: Final = re.compile(r"!\[([^\]]*)" + _RELATIVE)
_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)" + _RELATIVE)
# What is nothing but links: the rest of a table's cell, a word after a paragraph, a section of them.
_ONLY_LINKS: Final = re.compile(
    r":? ?\[guide" + _RELATIVE + r"|\n\[More" + _RELATIVE + r"|^## Read on\n.*?(?=^## )", re.DOTALL | re.MULTILINE
)


def urls(repository: str) -> dict[str, str]:
    """Return the addresses that the package index lists; none without a repository.

    Raises:
        ValueError: It is not the address of a repository on GitHub, for which the workflows here are written.
    """
    if not repository:
        return {}
    found = _REPOSITORY.fullmatch(repository)
    if found is None:
        raise ValueError(f"repository in pyproject.toml is {repository!r}: write https://github.com/OWNER/NAME")
    return {
        "Homepage": repository,
        "Documentation": f"https://{found['owner']}.github.io/{found['name']}/",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Source": repository,
    }


def readme(text: str, repository: str) -> str:
    """Return the README for the package index, which shows no comments and no titles and knows no other page."""
    text = _TITLE.sub("```python", _FOR_TESTS.sub("", text))
    if not repository:
        text = re.sub(rf"^{_PICTURE.pattern}\n\n", "", _ONLY_LINKS.sub("", text), flags=re.MULTILINE)
        return _LINK.sub(r"\1", text)
    raw = repository.replace("https://github.com/", "https://raw.githubusercontent.com/")
    text = _PICTURE.sub(rf"![\1]({raw}/main/\2)", text)
    return _LINK.sub(rf"[\1]({repository}/blob/main/\2)", text)


class AddressHook(MetadataHookInterface):
    """Fills in ``readme`` and ``urls``."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Write both into the metadata.

        Raises:
            ValueError: The address is not that of a repository.
        """
        root = Path(self.root)
        repository = self.config.get("repository", "")
        metadata["urls"] = urls(repository)
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme(text, repository)}
