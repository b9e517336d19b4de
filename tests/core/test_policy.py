"""Settings: what they default to, what they become, and what is refused."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any, cast

import pytest

from limpet._core import plan
from limpet._wire.record import Contents
from limpet.errors import ConfigurationError
from limpet.policy import SessionPolicy, slack_ms

HOUR = 3_600_000


def session(**settings: object) -> SessionPolicy:
    """Make a policy of settings that a type checker may find wrong."""
    return SessionPolicy(**cast("dict[str, Any]", settings))


def test_s18_the_defaults_are_fixed() -> None:
    """The whole set of session settings, by snapshot."""
    policy = SessionPolicy()
    given = {field.name: getattr(policy, field.name) for field in dataclasses.fields(policy) if field.init}
    assert given == {
        "idle_timeout": 24 * 3600,
        "absolute_timeout": 14 * 24 * 3600,
        "anonymous_timeout": 24 * 3600,
        "remember": 30 * 24 * 3600,
        "renewal_interval": None,
        "renewal_grace": 30,
        "touch_interval": None,
        "rotate_on": ("user_id", "user"),
        "save_on_error": False,
        "merge": {},
        "strict_merge": False,
        "on_ended": "drop",
        "on_load_error": "raise",
        "max_size": 1_048_576,
        "max_sessions": None,
        "when_full": "oldest_out",
        "store_timeout": 1.0,
        "merge_timeout": 5.0,
        "merge_attempts": 64,
        "rolling": True,
        "levels": ("aal1", "aal2", "aal3"),
        "on_client_change": {},
    }


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("idle_timeout", "idle_ms"),
        ("absolute_timeout", "absolute_ms"),
        ("anonymous_timeout", "anonymous_ms"),
        ("remember", "remember_ms"),
        ("renewal_interval", "renewal_interval_ms"),
        ("renewal_grace", "renewal_grace_ms"),
        ("touch_interval", "touch_ms"),
    ],
)
@pytest.mark.parametrize(
    ("given", "expected"),
    [(90, 90_000), (1.5, 1_500), (0.001, 1), (timedelta(minutes=2), 120_000), (timedelta(milliseconds=7), 7)],
)
def test_durations_become_whole_milliseconds(name: str, attribute: str, given: object, expected: int) -> None:
    """Seconds or timedelta in, integer milliseconds out."""
    value = getattr(session(**{name: given}), attribute)
    assert value == expected
    assert type(value) is int


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("idle_timeout", "idle_ms"),
        ("absolute_timeout", "absolute_ms"),
        ("anonymous_timeout", "anonymous_ms"),
        ("remember", "remember_ms"),
        ("renewal_interval", "renewal_interval_ms"),
    ],
)
def test_none_is_no_limit(name: str, attribute: str) -> None:
    """Where None is allowed it stays None."""
    assert getattr(session(**{name: None}), attribute) is None


@pytest.mark.parametrize(
    "name",
    ["idle_timeout", "absolute_timeout", "anonymous_timeout", "remember", "renewal_interval", "store_timeout"],
)
@pytest.mark.parametrize("value", [0, -1, 0.0001, timedelta(), timedelta(seconds=-5)])
def test_a_duration_that_is_not_positive_is_refused(name: str, value: object) -> None:
    """Zero and less would end every session at once; the message says what to give."""
    with pytest.raises(ConfigurationError, match=rf"{name}=.*positive number of seconds"):
        session(**{name: value})


@pytest.mark.parametrize("name", ["idle_timeout", "absolute_timeout", "remember", "renewal_grace", "merge_timeout"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "3600", [1], 1e15, timedelta.max])
def test_what_is_no_duration_is_refused(name: str, value: object) -> None:
    """NaN, infinity, booleans, text and more than 100 years; the message names the setting and the cure."""
    with pytest.raises(ConfigurationError, match=rf"{name}=.*give"):
        session(**{name: value})


@pytest.mark.parametrize("name", ["renewal_grace", "store_timeout", "merge_timeout"])
def test_none_is_refused_where_a_limit_must_be(name: str) -> None:
    """These have no unlimited form."""
    with pytest.raises(ConfigurationError, match=name):
        session(**{name: None})


@pytest.mark.parametrize(
    ("idle", "touch"),
    [(86_400, 60_000), (600, 60_000), (599, 59_900), (30, 3_000), (0.05, 5), (0.005, 0)],
)
def test_the_touch_interval_is_a_tenth_of_the_idle_timeout_at_most_a_minute(idle: float, touch: int) -> None:
    """Left out, it follows the idle timeout."""
    assert SessionPolicy(idle_timeout=idle).touch_ms == touch
    assert SessionPolicy().touch_after(round(idle * 1000)) == touch


def test_without_an_idle_timeout_nothing_is_touched() -> None:
    """No deadline moves, so no write is needed, unless an interval was given."""
    assert SessionPolicy(idle_timeout=None).touch_ms is None
    assert SessionPolicy().touch_after(None) is None
    assert SessionPolicy(idle_timeout=None, touch_interval=5).touch_ms == 5_000
    assert SessionPolicy(touch_interval=5).touch_after(None) == 5_000


def test_a_touch_interval_of_zero_touches_every_time() -> None:
    """Zero is allowed, for those who want the exact last use."""
    assert SessionPolicy(touch_interval=0).touch_ms == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"idle_timeout": 60, "touch_interval": 60}, "idle_timeout=60"),
        ({"anonymous_timeout": 30, "touch_interval": 40}, "anonymous_timeout=30"),
        ({"remember": 30, "touch_interval": 40}, "remember=30"),
    ],
)
def test_a_touch_interval_as_long_as_an_idle_timeout_is_refused(settings: dict[str, object], named: str) -> None:
    """Sessions in use would end between two touches."""
    with pytest.raises(ConfigurationError, match=rf"touch_interval=.*{named}.*make it shorter"):
        session(**settings)


@pytest.mark.parametrize(("idle", "slack"), [(None, 60_000), (86_400_000, 60_000), (30_000, 3_000), (5, 0)])
def test_the_slack_is_a_minute_or_a_tenth_of_the_idle_timeout(idle: int | None, slack: int) -> None:
    """The smaller of the two."""
    assert slack_ms(idle) == slack


@pytest.mark.parametrize(
    ("policy", "idle", "absolute"), [(SessionPolicy.aal2(), 1, 24), (SessionPolicy.strict(), 0.5, 12)]
)
@pytest.mark.parametrize("remember", [True, False])
@pytest.mark.parametrize("authenticated", [0, None])
def test_presets_hold_for_every_session(
    policy: SessionPolicy, idle: float, absolute: int, remember: bool, authenticated: int | None
) -> None:
    """NIST SP 800-63B-4: neither "remember me" nor an anonymous session gets around AAL2 or the stricter limits."""
    contents = Contents(created=0, remember=remember, authenticated=authenticated)
    assert plan.idle_timeout(contents, policy) == idle * HOUR
    assert plan.absolute_deadline(contents, policy) == absolute * HOUR


def test_policies_are_frozen_and_keyword_only_and_can_be_changed_by_replace() -> None:
    """A copy with another timeout is checked and computed anew."""
    policy = SessionPolicy(idle_timeout=100)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.idle_timeout = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        cast("Any", SessionPolicy)(60)
    changed = dataclasses.replace(policy, idle_timeout=10)
    assert (changed.idle_ms, changed.touch_ms) == (10_000, 1_000)
    with pytest.raises(ConfigurationError):
        dataclasses.replace(policy, idle_timeout=-1)


def test_an_idle_timeout_longer_than_the_absolute_one_is_fine() -> None:
    """Pointless, not wrong: the absolute one ends the session."""
    assert SessionPolicy(idle_timeout=100, absolute_timeout=10).absolute_ms == 10_000


def test_merge_rules_are_functions_or_strict() -> None:
    """The mapping is copied, so that nobody changes the rules of a running manager."""
    rules: dict[str, Any] = {"total": max, "balance": "strict"}
    policy = SessionPolicy(merge=rules)
    rules["other"] = "strict"
    assert dict(policy.merge) == {"total": max, "balance": "strict"}
    with pytest.raises(TypeError):
        cast("Any", policy.merge)["other"] = "strict"


@pytest.mark.parametrize("merge", [{"a": "lenient"}, {"a": None}, {1: "strict"}, ["a"], "strict", None])
def test_other_merge_rules_are_refused(merge: object) -> None:
    """The message says what a rule is."""
    with pytest.raises(ConfigurationError, match=r"'strict'.*function|function.*'strict'"):
        session(merge=merge)


def test_rotate_on_takes_any_sequence_of_keys() -> None:
    """A list becomes a tuple; none at all turns it off."""
    assert session(rotate_on=["uid"]).rotate_on == ("uid",)
    assert session(rotate_on=()).rotate_on == ()


def test_rotate_on_as_one_string_is_refused() -> None:
    """It would mean its letters; the message writes the tuple."""
    with pytest.raises(ConfigurationError, match=r"rotate_on=\('user_id',\)"):
        session(rotate_on="user_id")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotate_on", 5),
        ("rotate_on", (1,)),
        ("save_on_error", 1),
        ("strict_merge", "yes"),
        ("rolling", None),
        ("on_ended", "ignore"),
        ("on_load_error", None),
        ("when_full", "newest_out"),
        ("max_size", 0),
        ("max_size", 1.5),
        ("max_size", True),
        ("max_sessions", 0),
        ("max_sessions", -3),
        ("max_sessions", "3"),
        ("merge_attempts", 0),
        ("store_timeout", "1"),
    ],
)
def test_other_settings_are_checked_too(name: str, value: object) -> None:
    """The message starts with what was given."""
    with pytest.raises(ConfigurationError, match=rf"^{name}"):
        session(**{name: value})


def test_the_number_of_sessions_may_depend_on_the_subject() -> None:
    """A number or a function of the subject."""
    assert SessionPolicy(max_sessions=3).max_sessions == 3
    limit = SessionPolicy(max_sessions=lambda subject: None if subject == "root" else 2).max_sessions
    assert callable(limit)
    assert (limit("root"), limit("ada")) == (None, 2)


def test_budgets_are_seconds() -> None:
    """A timedelta becomes a float of seconds, which is what event loops take."""
    assert session(store_timeout=timedelta(milliseconds=250)).store_timeout == 0.25
    assert session(merge_timeout=2).merge_timeout == 2.0
