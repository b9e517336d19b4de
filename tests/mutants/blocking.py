"""Breakages of the blocking side: what threads must not lose, and when a response saves."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage

__all__ = ["BLOCKING"]

WSGI: Final = "wsgi/test_middleware.py::test_"
THREADS: Final = "wsgi/test_threads.py::test_"

BLOCKING: Final = (
    Breakage(
        "threads share a turn",
        "_blocking.py",
        "_Turn.__aenter__",
        "waiting is None",
        "True",
        f"{THREADS}a_turn_is_handed_on_in_order_and_never_waited_for_without_end",
    ),
    Breakage(
        "a store waits for the loop that it sees, although it is driven",
        "stores/_aio/threads.py",
        "running_loop",
        "is_driven()",
        "False",
        "wsgi/test_doors.py::test_a_blocking_application_works_while_a_loop_runs",
    ),
    Breakage(
        "what a body writes is saved by nobody",
        "_wsgi_exchange.py",
        "WSGIExchange.save_late",
        "self._doors.save_late(self._session, failed=self._failed)",
        "pass",
        f"{WSGI}a_generator_application_saves_when_it_starts_the_response",
    ),
    Breakage(
        "close() of a body is not its end",
        "_wsgi_exchange.py",
        "_Body.close",
        "self._exchange.finish()",
        "pass",
        "wsgi/test_starts.py::test_what_a_body_writes_as_it_is_closed_is_saved",
    ),
    Breakage(
        "an error page after the start loses the cookie",
        "_wsgi_exchange.py",
        "WSGIExchange.start",
        "[*headers, *ours]",
        "headers",
        "wsgi/test_starts.py::test_an_error_page_after_an_empty_part_carries_the_cookie",
    ),
    Breakage(
        "the body of a response that was refused goes out",
        "_wsgi_exchange.py",
        "_Body.__next__",
        "exchange.answer is not None",
        "False",
        f"{WSGI}a_store_that_fails_on_saving_is_answered_with_503",
    ),
)
