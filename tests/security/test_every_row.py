"""Every threat has its tests: through the middleware, through every adapter where it applies, and on the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from limpet.testing import AdapterSuite

ROOT: Final = Path(__file__).resolve().parents[2]
ROWS: Final = tuple(f"S{number:02}" for number in range(1, 39))

ADAPTERS: Final = {
    "S05": ("test_a_write_after_the_end_stores_nothing", "test_logout_races_leave_no_zombie"),
    "S06": (
        "test_fifty_writers_keep_fifty_keys",
        "test_fifty_increments_are_exact",
        "test_strict_merging_refuses_one_side",
    ),
    "S11": ("test_hostile_cookies_are_anonymous",),
    "S14": ("test_a_corrupt_record_is_anonymous",),
    "S18": ("test_first_write_sets_one_cookie",),
    "S19": ("test_two_sessions_in_one_request_are_none",),
    "S26": ("test_caching", "test_vary_is_appended", "test_untouched_request_with_a_session_adds_nothing"),
    "S27": ("test_the_store_holds_nothing_that_opens_a_session",),
    "S31": ("test_nested_changes_are_saved",),
    "S34": ("test_is_live", "test_a_websocket_may_write_late", "test_a_late_first_write_in_a_websocket_is_refused"),
}
"""Tests of the suite that say in words what they are about; the others carry the number of the threat."""

ELSEWHERE: Final = {
    "S08": "a store's own matter",
    "S16": "refused when the settings are made",
    "S17": "refused when the settings are made",
    "S21": "a store's own matter",
    "S22": "about the source",
    "S23": "refused when the settings are made",
    "S28": "ids are made in one place",
    "S36": "about the source",
    "S37": "counted where ids are looked up, in one place",
    "S38": "compared where sessions are read, in one place",
}
"""Threats that no adapter has a part in."""

ADVISORIES: Final = {
    "CVE-2015-5143": "security/test_s07_store_flood.py",
    "CVE-2015-5963": "security/test_s07_store_flood.py",
    "CVE-2015-5964": "security/test_s07_store_flood.py",
    "CVE-2018-1000814": "security/test_s09_expiry.py",
    "CVE-2019-16782": "security/test_s27_ids_at_rest.py",
    "CVE-2022-25896": "security/test_s02_login_changes_the_id.py",
    "CVE-2023-28858": "faults/test_f18_cancelled.py",
    "CVE-2023-28859": "faults/test_f18_cancelled.py",
    "CVE-2023-30861": "security/test_s26_caches.py",
    "CVE-2025-46336": "security/test_s05_logout_race.py",
    "CVE-2025-69230": "security/test_s12_malformed.py",
    "CVE-2026-25480": "security/test_s21_paths.py",
    "CVE-2026-27205": "security/test_s26_caches.py",
    "CVE-2026-39324": "security/test_s24_downgrade.py",
}
"""Published advisories about sessions, and the test that would notice the same mistake here."""


@pytest.mark.parametrize("row", ROWS)
def test_each_threat_is_tested_through_the_middleware(row: str) -> None:
    """A file with its number, whose docstring says what the attack is."""
    paths = list((ROOT / "tests" / "security").glob(f"test_{row.lower()}_*.py"))
    assert paths
    assert all(path.read_text().startswith(f'"""{row}: ') for path in paths)


@pytest.mark.parametrize("row", ROWS)
def test_each_threat_is_tested_through_every_adapter(row: str) -> None:
    """The suite that every adapter passes has a test for it, unless no adapter has a part in it."""
    carrying = [name for name in dir(AdapterSuite) if re.search(rf"_{row.lower()}_", name) and name.startswith("test_")]
    named = [getattr(AdapterSuite, name) for name in ADAPTERS.get(row, ())]
    assert bool(carrying or named) is (row not in ELSEWHERE)


@pytest.mark.parametrize("advisory", ADVISORIES)
def test_each_advisory_is_named_where_it_is_tested(advisory: str) -> None:
    """In the first line, so that it is found."""
    first = (ROOT / "tests" / ADVISORIES[advisory]).read_text().partition("\n")[0]
    assert advisory in first


def test_the_page_on_security_names_the_tests() -> None:
    """Each threat has one line, which begins with the file that has its number; all files that it names are there."""
    text = (ROOT / "docs" / "security.md").read_text()
    lines = {line[2:5]: line for line in text.splitlines() if re.match(r"\| S\d\d \|", line)}
    assert tuple(lines) == ROWS
    named = {row: re.findall(r"`([\w/]+\.py)`", line) for row, line in lines.items()}
    for row, files in named.items():
        assert files[0].startswith(f"test_{row.lower()}_")
        for file in files:
            folder = ROOT if "/" in file else ROOT / "tests" / "security"
            assert (folder / file).is_file(), f"{row}: {file}"


def test_the_page_on_security_goes_through_asvs() -> None:
    """All 19 requirements of chapter V7 of OWASP ASVS 5.0, in order."""
    text = (ROOT / "docs" / "security.md").read_text()
    items = re.findall(r"^\| (7\.\d\.\d) \|", text, re.MULTILINE)
    sections = {"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2}
    assert items == [f"{section}.{number}" for section, count in sections.items() for number in range(1, count + 1)]
