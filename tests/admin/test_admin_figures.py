"""What is counted and measured, and how it is drawn: pure functions and clocks that a test turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from limpet import SessionManager, events
from limpet.admin import census as census_module
from limpet.admin.book import Book
from limpet.admin.census import Census
from limpet.admin.chart import LEFT, WIDTH, duration, latency_chart, login_chart
from limpet.admin.history import History, Span
from limpet.testing import FakeClock

MINUTE = 60_000


async def make(manager: SessionManager, count: int) -> None:
    for number in range(count):
        session = manager.begin([])
        session.login(f"user-{number % 7}")
        await manager.commit(session)


async def test_a_long_count_is_done_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look walks on for a moment only; until the end is reached it says that there are more."""
    monkeypatch.setattr(census_module, "_STEP", 10)
    monkeypatch.setattr(census_module, "_BUDGET", 0.0)
    manager = SessionManager("memory:")
    await make(manager, 35)
    census = Census(manager, Book(manager, show_values=False))
    seen = [await census.look() for _ in range(4)]
    assert [(count.sessions, count.partial) for count in seen if count] == [
        (10, True),
        (20, True),
        (30, True),
        (35, False),
    ]
    assert seen[-1] is not None
    assert (seen[-1].signed_in, seen[-1].subjects) == (35, 7)


async def test_a_count_is_kept_for_a_moment() -> None:
    """Many people looking at once do not make the store walk more often; who has ended something sees it at once."""
    manager = SessionManager("memory:")
    await make(manager, 3)
    census = Census(manager, Book(manager, show_values=False))
    first = await census.look()
    await make(manager, 2)
    assert await census.look() is first
    census.forget()
    again = await census.look()
    assert again is not None
    assert again.sessions == 5


async def test_a_count_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many records it says at least how many there are, and begins anew the next time."""
    monkeypatch.setattr(census_module, "_STEP", 10)
    monkeypatch.setattr(census_module, "_MOST", 20)
    manager = SessionManager("memory:")
    await make(manager, 35)
    found = await Census(manager, Book(manager, show_values=False)).look()
    assert found is not None
    assert (found.sessions, found.partial, found.at is not None) == (20, True, True)


def test_history_goes_by_the_minute_and_forgets_after_a_day() -> None:
    """Logins and ends fall into the span of their time; what is older than a day takes no memory."""
    clock = FakeClock(1_800_000_000_000)
    history = History(clock)
    for kind in (events.SessionLoggedIn, events.SessionLoggedOut, events.SessionRevoked, events.SessionCreated):
        history.note(kind(at=clock()))
    clock.advance(120)
    history.note(events.SessionLoggedIn(at=clock()))
    spans = history.spans(1, 60)
    assert [(span.logins, span.ends) for span in spans[-3:]] == [(1, 2), (0, 0), (1, 0)]
    assert sum(span.logins for span in history.spans(30, 48)) == 2
    for _ in range(3000):
        clock.advance(60)
        history.note(events.SessionLoggedIn(at=clock()))
    assert len(history._minutes) == 1440
    assert sum(span.logins for span in history.spans(30, 48)) in range(1410, 1441)
    assert history.totals["SessionLoggedIn"] == 3002


def test_store_calls_are_measured_also_when_they_fail() -> None:
    """Only those that a request waits for; a tracer that was there before is told of all of them."""
    told: list[str] = []

    class Other:
        @contextmanager
        def step(self, name: str) -> Iterator[None]:
            told.append(name)
            yield

    history = History(FakeClock(), Other())
    for name in ("load", "store.load", "store.scan", "store.update"):
        with history.step(name):
            pass
    with pytest.raises(OSError, match="gone"), history.step("store.delete"):
        raise OSError("gone")
    [*_, last] = history.spans(1, 60)
    assert last.calls == 3
    assert 0 < last.average <= last.slowest <= last.seconds
    assert told == ["load", "store.load", "store.scan", "store.update", "store.delete"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.00000951, "9.51 µs"),
        (0.00025, "250 µs"),
        (0.0012, "1.2 ms"),
        (0.0999999, "100 ms"),
        (1, "1 s"),
        (61.2, "61.2 s"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    """With the unit that leaves few digits."""
    assert duration(seconds) == said


def test_bars_are_as_high_as_what_they_count() -> None:
    """The scale begins at zero and ends above the highest; nothing leaves the chart."""
    spans = [Span(MINUTE * number, logins=number, ends=2 * number) for number in range(60)]
    chart = login_chart(spans)
    assert [line.label for line in chart.grid] == ["0", "100", "200"]
    logins = [bar for bar in chart.bars if bar.kind == "logins"]
    ends = [bar for bar in chart.bars if bar.kind == "ends"]
    assert len(logins) == len(ends) == 59
    for login, end in zip(logins, ends, strict=True):
        assert end.height == pytest.approx(2 * login.height, abs=0.2)
        assert LEFT <= login.x < login.x + login.width <= end.x < end.x + end.width <= WIDTH
        assert min(login.y, end.y) >= 0


@pytest.mark.parametrize("most", [0, 1, 3, 11, 99, 100, 101, 4001])
def test_the_scale_holds_everything_and_has_whole_numbers(most: int) -> None:
    """Also half way up."""
    labels = [int(line.label.replace(",", "")) for line in login_chart([Span(0, logins=most)]).grid]
    assert labels == [0, labels[2] // 2, labels[2]]
    assert labels[2] == 2 * labels[1] >= most


def test_latency_is_drawn_by_powers_of_ten() -> None:
    """A stall does not flatten the rest; where nothing was measured the line is broken, and a lone minute is a dot."""
    measured = [Span(MINUTE * n, calls=10, seconds=0.01, slowest=0.002) for n in range(3)]
    stall = Span(MINUTE * 4, calls=1, seconds=1.5, slowest=1.5)
    chart = latency_chart([*measured, Span(MINUTE * 3), stall, Span(MINUTE * 5)])
    assert [line.label for line in chart.grid] == ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]
    assert [(kind, points.count(",")) for kind, points in chart.lines] == [("slowest", 3), ("average", 3)]
    assert [kind for kind, _, _ in chart.dots] == ["slowest", "average"]


def test_nothing_measured_is_an_empty_chart() -> None:
    """And no division by nothing."""
    assert latency_chart([Span(0), Span(1)]).empty
    assert login_chart([Span(0), Span(1)]).empty
