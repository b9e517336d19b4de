"""Decides who goes on: coroutines run one at a time, and change over where they `pause`.

`Stage` drives coroutines by hand and needs no event loop. `LoopStage` does the same with tasks of asyncio, for stores
whose calls wait for files and sockets. Both take their decisions from a function, so that a seed replays them.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Final, TypeAlias, TypeVar, cast

from limpet.errors import StoreUnavailable

__all__ = ["Actor", "Flag", "LoopStage", "Moments", "Stage", "Stuck", "SteppedRuntime", "never", "pause"]

T = TypeVar("T")
Until: TypeAlias = Callable[[], bool]
Choose: TypeAlias = Callable[[int], int]
"""Takes how many actors are ready and returns which of them goes on, counted from 0."""

_LONGEST: Final = 20_000  # steps; no history needs a hundredth of it, so one that takes more turns in circles


class Stuck(AssertionError):
    """Nobody can go on any more, or it never ends."""


def never() -> bool:
    """Say that an actor will not go on: its process is dead."""
    return False


class Actor:
    """One coroutine on a stage.

    Attributes:
        coroutine: Awaits it.
        until: What it waits for, if not just for its turn.
        done: It has returned or raised.
        error: What it raised.
    """

    __slots__ = ("_call", "context", "coroutine", "done", "error", "gate", "name", "until")

    def __init__(self, name: str, call: Coroutine[Any, Any, Any]) -> None:
        self.name = name
        self._call = call
        self.coroutine = _awaiting(call)
        self.context = copy_context()
        self.until: Until | None = None
        self.done = False
        self.error: BaseException | None = None
        self.gate: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Close the coroutine, unless it is over: a compiled one cannot be closed then."""
        if inspect.getcoroutinestate(self.coroutine) == inspect.CORO_CREATED:
            self._call.close()
        self.coroutine.close()


async def _awaiting(call: Coroutine[Any, Any, Any]) -> None:
    await call


_on_loop: ContextVar[tuple[LoopStage, Actor] | None] = ContextVar("_on_loop", default=None)


@types.coroutine
def _give_way(until: Until | None) -> Generator[Until | None, None, None]:
    yield until


async def pause(until: Until | None = None) -> None:
    """Let the stage choose who goes on; with a condition, be out of the choice until it holds."""
    here = _on_loop.get()
    if here is None:
        await _give_way(until)
    else:
        await here[0].park(here[1], until)


class Moments:
    """The order in which things happen.

    Attributes:
        now: The last moment that there was.
    """

    def __init__(self) -> None:
        self.now = 0

    def tick(self) -> int:
        """Return a moment that is later than every one before."""
        self.now += 1
        return self.now


class Stage(Moments):
    """Runs coroutines one at a time.

    Args:
        choose: Takes the decisions.

    Attributes:
        closed: It is over; what the dead still try fails at once.
    """

    def __init__(self, choose: Choose) -> None:
        super().__init__()
        self._choose = choose
        self._alive: list[Actor] = []
        self._actors: list[Actor] = []
        self.closed = False

    def add(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> Actor:
        """Put a coroutine on the stage; its first step is one of those that are chosen."""
        actor = Actor(name, coroutine)
        self._alive.append(actor)
        self._actors.append(actor)
        return actor

    def spawn(self, call: Coroutine[Any, Any, Any]) -> None:
        """Put on the stage what nobody waits for, and what may never begin, as its process dies before."""
        self.add("background", call)

    def ready(self) -> list[Actor]:
        """Return who could go on.

        Raises:
            Stuck: Nobody, and not all are done or dead; or there is no end.
        """
        self._alive = [actor for actor in self._alive if not actor.done and actor.until is not never]
        ready = [actor for actor in self._alive if actor.until is None or actor.until()]
        if self._alive and not ready:
            raise Stuck(f"all wait for each other: {', '.join(actor.name for actor in self._alive)}")
        if self.tick() > _LONGEST:
            raise Stuck(f"no end after {_LONGEST} steps: {', '.join(actor.name for actor in ready)}")
        return ready

    def pick(self, ready: list[Actor]) -> Actor:
        """Choose."""
        actor = ready[self._choose(len(ready))] if len(ready) > 1 else ready[0]
        actor.until = None
        return actor

    def run(self) -> None:
        """Run everything to its end."""
        while ready := self.ready():
            actor = self.pick(ready)
            try:
                until = actor.context.run(actor.coroutine.send, None)
            except StopIteration:
                actor.done = True
            except Exception as error:  # noqa: BLE001 - the caller looks at it
                actor.done, actor.error = True, error
            else:
                actor.until = until

    def failed(self) -> list[Actor]:
        """Return those whose coroutine raised."""
        return [actor for actor in self._actors if actor.error is not None]

    def clear(self) -> None:
        """Drop what the dead left unfinished."""
        self.closed = True
        self._close()

    def _close(self) -> None:
        for actor in self._actors:
            actor.close()


class LoopStage(Stage):
    """Runs coroutines one at a time as tasks of asyncio, so that the calls of a real store can be waited for."""

    def __init__(self, choose: Choose) -> None:
        super().__init__(choose)
        self._parked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> Actor:
        actor = super().add(name, coroutine)
        actor.gate = asyncio.get_running_loop().create_future()
        self._tasks.append(asyncio.create_task(self._play(actor, actor.gate), name=name))
        return actor

    async def _play(self, actor: Actor, gate: asyncio.Future[None]) -> None:
        _on_loop.set((self, actor))
        try:
            await gate
            await actor.coroutine
        except Exception as error:  # noqa: BLE001 - the caller looks at it
            actor.error = error
        finally:
            actor.done = True
            self._parked.set()

    async def park(self, actor: Actor, until: Until | None) -> None:
        """Stop the actor until it is chosen again."""
        actor.until, actor.gate = until, asyncio.get_running_loop().create_future()
        self._parked.set()
        await actor.gate

    async def run_on_loop(self) -> None:
        """Run everything to its end."""
        while ready := self.ready():
            actor = self.pick(ready)
            assert actor.gate is not None
            self._parked.clear()
            actor.gate.set_result(None)
            await self._parked.wait()

    async def clear_on_loop(self) -> None:
        """Drop what the dead left unfinished."""
        self.closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close()


class Flag:
    """What one task of a request waits for and another sets."""

    def __init__(self, runtime: SteppedRuntime) -> None:
        self._runtime = runtime
        self._is_set = False

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Let everybody go on who waits for it."""
        self._is_set = True

    async def wait(self) -> None:
        """Wait until it is set."""
        while not self._is_set:
            self._runtime.check()
            await pause(lambda: self._is_set or self._runtime.dead)
            await self._runtime.live()


class SteppedRuntime:
    """The `Runtime` of a manager on a stage: no time limits, since no time passes; turns and waits are pauses.

    Args:
        stage: Where tasks are put that are not waited for.
        queues: Commits of one session queue. False: they go ahead at once, as after waiting in vain.
    """

    def __init__(self, stage: Stage, *, queues: bool = True) -> None:
        self.stage = stage
        self._queues = queues
        self._held: set[str] = set()
        self.dead = False

    def limit(self, call: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Return the call as it is."""
        return call

    def turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold the only turn for a key in this process."""
        return self._turn(key)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        self.check()
        while self._queues and key in self._held and not self.dead:
            await pause(lambda: key not in self._held or self.dead)
        await self.live()
        mine = key not in self._held
        self._held.add(key)
        try:
            yield
        finally:
            if mine:
                self._held.discard(key)

    async def live(self) -> None:
        """Go on, unless this process has died."""
        self.check()
        while self.dead:
            await pause(never)

    def check(self) -> None:
        """Fail once the stage is closed.

        Raises:
            StoreUnavailable: It is.
        """
        if self.stage.closed:
            raise StoreUnavailable("the process is dead")

    async def sleep(self, seconds: float) -> None:
        """Let others go on."""
        self.check()
        await pause()
        await self.live()

    async def finish(self, call: Awaitable[T]) -> T:
        """Await the call."""
        return await call

    async def together(self, steps: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Carry out one step after the other, as what is drawn decides about the others."""
        return [await step() for step in steps]

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Put it on the stage; a process that has died runs nothing any more."""
        task = cast("Coroutine[Any, Any, Any]", call)
        if self.dead or self.stage.closed:
            task.close()
        else:
            self.stage.spawn(task)

    def signal(self) -> Flag:
        """Return what tasks of one request wait for and set."""
        return Flag(self)
