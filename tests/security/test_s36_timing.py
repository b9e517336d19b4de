"""S36: the time of a comparison tells how much of a MAC or an id was right."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import holdfast
from holdfast.sealers import signed
from tests.security.site import SECRET, Site

SOURCES = sorted(Path(holdfast.__file__).parent.rglob("*.py"))
SECRET_NAMES = re.compile(r"(^|_)(sig|signature|mac|hmac|digest|tag_bytes|raw|secret|token_bytes)$")


def name_of(node: ast.expr) -> str:
    """Return the last name in an expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_secret_is_compared_with_equals(path: Path) -> None:
    """No ``==`` or ``!=`` on what is called a signature, a MAC, a digest, a raw id or a secret."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            other = node.comparators[0]
            if isinstance(other, ast.Constant):
                continue
            guilty = [side for side in (node.left, other) if SECRET_NAMES.search(name_of(side))]
            # Two ids of ours, neither of which a client gave: whether a renewal met its own record.
            ours = path.name == "rotation.py" and ast.unparse(node) == "leader.raw == new"
            assert not guilty or ours, f"{path.name}:{node.lineno}: use hmac.compare_digest"


async def test_a_mac_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signed token that is opened goes through ``hmac.compare_digest``, untruncated."""
    lengths: list[int] = []

    def watched(one: bytes, other: bytes) -> bool:
        lengths.append(len(one))
        return one == other

    site = Site(secret=SECRET)
    token = (await site.ask("/write")).token
    monkeypatch.setattr(signed, "compare_digest", watched)
    await site.ask("/read", token)
    await site.ask("/read", token[:-1] + ("A" if token[-1] != "A" else "Q"))
    assert lengths
    assert set(lengths) == {32}
