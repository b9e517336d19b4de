"""S36: the time of a comparison tells how much of a MAC or an id was right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import limpet
from limpet.sealers import signed
from tests.security.site import SECRET, WatchedSite

SOURCES = sorted(Path(limpet.__file__).parent.rglob("*.py"))
SECRETS = re.compile(
    r"(^|_)(sig|sigs|signature|signatures|mac|macs|hmac|hmacs|digest|digests|tag_bytes|raw|secret|secrets|token_bytes)$"
)
MAKERS = {"digest", "hexdigest", "finalize", "sign", "get_signature", "token_bytes", "token_hex", "token_urlsafe"}
SEARCHES = {"startswith", "endswith", "find", "index", "count", "__eq__", "__ne__"}
HIDES = {"len", "sum", "bool", "type", "isinstance", "id"}
"""What is made of a secret by these says nothing of its bytes."""
OURS = {
    ("rotation.py", "leader.raw == new"),  # two ids of ours: whether a renewal met its own record
    ("keyring.py", "secret[period:] == secret[:-period]"),  # a secret with itself, when it is configured
}
"""Comparisons in which nothing is what a client gave."""


def is_secret(node: ast.AST) -> bool:
    """Tell whether an expression stands for secret bytes: by its name, or because it computes, cuts or joins such."""
    if isinstance(node, ast.Name):
        return bool(SECRETS.search(node.id))
    if isinstance(node, ast.Attribute):
        return bool(SECRETS.search(node.attr))
    if isinstance(node, ast.Call):
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        if name in HIDES:
            return False
        behind = [called.value] if isinstance(called, ast.Attribute) else []
        return name in MAKERS or any(is_secret(part) for part in (*behind, *node.args))
    if isinstance(node, ast.Subscript):
        return is_secret(node.value)
    if isinstance(node, ast.Compare):
        return False
    return any(is_secret(part) for part in ast.iter_child_nodes(node))


def comparisons(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.Match, list[ast.expr]]]:
    """Yield everything that compares byte by byte and stops at the first difference, with what it compares."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for one, kind, other in zip(sides, node.ops, sides[1:], strict=False):
                if isinstance(kind, (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
                    yield node, [one, other]
                elif isinstance(kind, (ast.In, ast.NotIn)) and isinstance(other, (ast.Tuple, ast.List, ast.Set)):
                    yield node, [one, *other.elts]
                elif isinstance(kind, (ast.In, ast.NotIn)):
                    yield node, [other]  # whether something is in secret bytes; a dictionary is looked up by a hash
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEARCHES:
            yield node, [node.func.value, *node.args]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("operator.eq", "operator.ne", "eq", "ne"):
            yield node, list(node.args)
        elif isinstance(node, ast.Match):
            yield node, [node.subject]


def guilty(source: str, file: str = "") -> list[int]:
    """Return the lines that compare secret bytes in a time that tells of them."""
    found: list[int] = []
    for node, sides in comparisons(ast.parse(source)):
        empty = any(isinstance(side, ast.Constant) and side.value in (None, b"", "", 0) for side in sides)
        if not empty and any(is_secret(side) for side in sides) and (file, ast.unparse(node)) not in OURS:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_secret_is_compared_with_equals(path: Path) -> None:
    """Neither ``==`` nor a search, on what is called or computed as a signature, a MAC, a digest, an id or a secret."""
    assert guilty(path.read_text(), path.name) == [], f"{path}: use hmac.compare_digest"


@pytest.mark.parametrize(
    "line",
    [
        "mac == given",
        "given != self._signature",
        "state.finalize() == body[-32:]",
        "mac[:16] == given[:16]",
        "hmac.digest(key, data, 'sha256') == body",
        "sha256(data).hexdigest() == text",
        "1 < 2 and (a == b == raw)",
        "bytes(mac) == given",
        "mac + b'x' == given",
        "raw in (one, other)",
        "given in raw",
        "mac.startswith(given)",
        "given.__eq__(mac)",
        "operator.eq(mac, given)",
        "any(each == mac for each in macs)",
        "(lambda mac: mac == given)(x)",
        "a if session.raw == new else b",
    ],
)
def test_the_rule_sees_it_in_every_form(line: str) -> None:
    """Cut, computed, chained, turned around, in a tuple or by another name of the operator: it is found."""
    assert guilty(line) == [1]


@pytest.mark.parametrize(
    "line",
    ["compare_digest(mac, given)", "len(raw) == 32", "raw is None", "keys[mac]", "secret == ''", "name == other"],
)
def test_the_rule_spares_what_tells_nothing(line: str) -> None:
    """A constant-time comparison, a length, a look-up by hash, the empty string."""
    assert guilty(line) == []


async def test_a_mac_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signed token that is opened goes through ``hmac.compare_digest``, untruncated."""
    lengths: list[int] = []

    def watched(one: bytes, other: bytes) -> bool:
        lengths.append(len(one))
        return one == other

    site = WatchedSite(secret=SECRET)
    token = (await site.ask("/write")).given
    monkeypatch.setattr(signed, "compare_digest", watched)
    await site.ask("/read", token)
    await site.ask("/read", token[:-1] + ("A" if token[-1] != "A" else "Q"))
    assert lengths
    assert set(lengths) == {32}
