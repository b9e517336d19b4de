"""What is copied or pickled: the settings around a manager, and the manager itself."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest

from limpet import SessionManager, SessionPolicy
from limpet.bound import BoundPolicy
from limpet.devices import DevicePolicy
from limpet.policy import CookiePolicy

POLICIES = [
    SessionPolicy(merge={"best": max, "draft": "strict"}, on_client_change={"agent": "login"}, rotate_on=("who",)),
    SessionPolicy(idle_timeout=timedelta(hours=1), touch_interval=2, levels=("low", "high")),
    SessionPolicy.aal2(),
    CookiePolicy(name="sid", path="/shop"),
    BoundPolicy(),
    DevicePolicy(),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))])
def test_a_copy_of_a_policy_is_equal_to_it(policy: Any, made: Any) -> None:
    """Settings that are copied, or sent to another process, mean the same there."""
    found = made(policy)
    assert found == policy
    assert type(found) is type(policy)
    if isinstance(policy, SessionPolicy):
        assert (found.idle_ms, found.touch_ms) == (policy.idle_ms, policy.touch_ms)
        with pytest.raises(TypeError):
            found.merge["other"] = "strict"


def test_a_policy_with_a_rule_of_no_name_names_it_when_it_is_pickled() -> None:
    """A lambda cannot be found again in another process; a copy in this one has it."""
    policy = SessionPolicy(merge={"best": lambda base, mine, theirs: max(mine, theirs)})
    assert copy.deepcopy(policy) == policy
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(policy)


def test_a_copy_of_a_manager_is_the_manager() -> None:
    """Settings that are copied go on using one store; another process needs a manager of its own."""
    manager = SessionManager("memory:")
    assert copy.copy(manager) is copy.deepcopy({"sessions": manager})["sessions"] is manager
    with pytest.raises(TypeError, match="never pickled: make one in each process"):
        pickle.dumps(manager)
