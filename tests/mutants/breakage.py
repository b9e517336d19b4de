"""What a breakage is, and how it is put into a source file."""

from __future__ import annotations

from typing import NamedTuple

from tests.mutants.pattern import replaced

__all__ = ["Breakage", "known", "of_one_browser"]


class Breakage(NamedTuple):
    """One piece of wrong code, in place of the right one.

    Attributes:
        what: What would be wrong with it.
        file: Below ``src/limpet``.
        where: The function, class, or class or module attribute that holds the right code, by its qualified name.
        old: A pattern of the right code, which is there exactly once; see `tests.mutants.pattern`.
        new: The wrong code; the placeholders of ``old`` stand for what they matched.
        test: Below ``tests``; it has to fail.
    """

    what: str
    file: str
    where: str
    old: str
    new: str
    test: str

    def broken(self, source: str) -> str:
        """Return the text of a file with the wrong code in it.

        Raises:
            Stale: The pattern does not match exactly once there.
        """
        return replaced(source, self.where, self.old, self.new)


def known(history: str) -> str:
    """Return the test of one short history."""
    return f"properties/test_histories_known.py::test_what_went_wrong_once[{history}]"


def of_one_browser(history: str) -> str:
    """Return the test of one short history in which one browser sends several requests at once."""
    return f"properties/test_histories_of_one_browser.py::test_one_browser_is_one_browser[{history}]"
