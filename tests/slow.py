"""Which tests take long enough to have a run of their own: `make test-slow`.

Everything here runs in CI and in `make test-long`. `make test` leaves it out, to answer within minutes: for each row it
keeps something that looks at the same thing, on fewer stores, with fewer draws, or without a process for each.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_slow"]

_SERVERS: Final = r"redis|postgres"
_ROWS: Final = {
    # Suites of other projects, whole.
    "tests/upstream/": "",
    # pytest in pytest.
    "tests/testing/test_plugin.py": (
        r"either_mode|anyio|several_workers|left_out|what_is_wrong|adapter_suite|does_not_use_it"
    ),
    "tests/examples/test_third_party_store.py": r"passes_the_suite",
    "tests/testing/test_suite_store_refutes.py": r"all_it_takes",
    # Drawn in number: two blocks, one kind of cookie and a third of the operations stay.
    "tests/properties/test_histories.py": (
        r"test_histories\[[2-7]\]|of_cookies\[(none|epoch)|every_store\[(redis|file)|"
        r"every_call\[(log|rev|ren|reg|imp|first|two|save|ref)|made_small|found_out\[(shares|revokes)|run_it_again"
    ),
    "tests/properties/test_machine.py": rf"TouchRevives|Upsert|LostCheck-http|equals.*({_SERVERS})",
    "tests/properties/test_interleave.py": r"orders_of_three\[(?!login)",
    # The same law on every store: memory and SQLite stay.
    "tests/laws/test_revocation_cut_off.py": _SERVERS,
    "tests/laws/test_refused_and_failed.py": rf"many_sessions.*({_SERVERS})",
    "tests/laws/test_cookie_copies.py": _SERVERS,
    "tests/laws/": rf"\[({_SERVERS})",
    "tests/adapters/test_starlette_servers.py": r"\[(file|redis)",
    "tests/subjects/test_races.py": r"200-file",
    "tests/bound/test_orders.py": r"\[(sqlite|redis|memory-refresh)|meanwhile",
    # The same recipe in one more framework: Starlette and Nexios stay.
    "tests/docs/test_recipes.py": r"\[(blacksheep|litestar)",
    "tests/signout/test_encrypted.py": r"\[wsgi",
    # An adapter's suite on one more store: those of Starlette, Flask and Django stay whole.
    **dict.fromkeys(
        (
            f"tests/adapters/test_{name}.py"
            for name in ("aiohttp", "blacksheep", "fastapi", "fastmvc", "litestar", "nexios", "quart")
        ),
        r"\[sqlite",
    ),
    # The same fault where threads wait.
    "tests/faults/": r"threads",
    # Interpreters and servers, one for each test: one kind stays.
    "tests/examples/test_examples.py": r"",
    "tests/demo/test_demo_serve.py": r"",
    "tests/packages/test_nicegui.py": r"",
    "tests/packages/test_fasthtml.py": r"\[(fast_app|store|manager)",
    "tests/test_startup.py": r"does_not_start.*(workers|granian|gunicorn|hypercorn)",
    "tests/cli/test_every_command.py": r"does_not_answer\[(show|revoke|stats|migrate)",
    "tests/cli/test_sealed.py": r"sessions_end|it_says",
    "tests/cli/test_keys_life.py": r"\[id\]",
    "tests/wsgi/test_threads.py": rf"fork_after_opening\[({_SERVERS}|file)|swept_by_a_thread",
    "tests/scripts/test_scale.py": r"",
    "tests/adapters/test_flask_servers.py": r"at_once",
    "tests/faults/test_f06_kill_nine_requests.py": rf"file|{_SERVERS}",
    "tests/faults/test_f09_processes.py": rf"file|{_SERVERS}",
    "tests/faults/test_f22_fork_requests.py": r"",
    "tests/faults/test_f26_shutdown.py": r"",
    "tests/subjects/test_another_process.py": rf"file|{_SERVERS}",
    "tests/races/test_processes.py": r"files|redis|postgresql",
    "tests/test_extras.py": r"enough\[(?!csrf|flask|starlette|redis|postgres)",
    "tests/wsgi/test_gunicorn.py": r"",
    "tests/wsgi/test_redis.py": r"Cluster|Sentinel",
    # Seconds of waiting for what a server does.
    "tests/faults/test_f18_cancelled.py": _SERVERS,
    "tests/faults/test_one_timeout.py": _SERVERS,
    "tests/stores/test_redis_replicas.py": r"",
    "tests/stores/test_redis_cluster.py": r"TestCluster|TestSentinel",
    "tests/faults/test_redis_moving_slots.py": r"threads|\[1-\]|no_visitor",
    "tests/faults/test_postgres_dns.py": r"",
}


def is_slow(path: str, name: str) -> bool:
    """Tell whether a test is left to the slow run.

    Args:
        path: Of its file, from the root of the project, with slashes.
        name: The test's own, behind its class if it has one, with what it is called with in brackets.
    """
    return any(path.startswith(row) and re.search(pattern, name) for row, pattern in _ROWS.items())
