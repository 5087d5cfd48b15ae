"""The primitives that a backward on balls ran, as a list that can be run again on other balls, without the tape.

The certificate runs the tape once on balls. The bound of each backend asks for the same primitives in the same order, only
widened, so that `recording` keeps them, and `Steps.run` runs them for a backend in a third of the time. What the tape does
depends on shapes and on decisions: every decision of the first run must come out the same, else `Differs` is raised, and the
tape has to run. Where two backends declare the same errors, what the first made is taken for the second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.oracles import balls
from harness.oracles.balls import BallArray

__all__ = ["Differs", "Ran", "Recording", "Steps", "recording"]


class Differs(ArithmeticError):
    """A decision came out otherwise than when the steps were recorded."""


@dataclass(frozen=True, eq=False)
class Ran:
    """What one run of the steps gave.

    Attributes:
        slots: the inputs and the result of every step.
        wide: for every step whether `widen` said that its result is out of range.
    """

    slots: list[Any]
    wide: list[bool]


@dataclass(frozen=True, eq=False)
class _Step:
    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]  # as recorded
    places: tuple[tuple[int, int], ...]  # position of an argument -> the slot that it is
    params: Mapping[str, Any]
    rounds: bool
    result: Any  # as recorded


@dataclass(eq=False)
class Recording:
    """What is noted while the tape runs; `steps` makes a list of it."""

    noted: list[tuple[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any], bool, Any]] = field(
        default_factory=list
    )
    inputs: list[BallArray] = field(default_factory=list)
    backward: int = 0  # how many steps came before the backward half
    results: tuple[tuple[Any, ...], tuple[Any, ...]] = ((), ())
    _made: Steps | None = None
    _failed: bool = False

    def steps(self) -> Steps | None:
        """The list, made once; None if balls came from elsewhere than from inputs and primitives."""
        if self._made is None and not self._failed:
            try:
                self._made = Steps(self)
            except Differs:
                self._failed = True
        return self._made

    def note(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        params: Mapping[str, Any],
        rounds: bool,
        y: Any,
    ) -> None:
        """Note that a primitive ran."""
        self.noted.append((name, function, args, params, rounds, y))


@contextlib.contextmanager
def recording() -> Iterator[Recording]:
    """Note every primitive that runs on balls inside the block."""
    made, before = Recording(), balls.recorder
    balls.recorder = made.note
    try:
        yield made
    finally:
        balls.recorder = before


class Steps:
    """The list. It keeps what its last run made, for a next one that rounds in the same way in places."""

    def __init__(self, recording: Recording) -> None:
        """Make the list of a recording.

        Raises:
            Differs: balls came from elsewhere than from inputs and primitives.
        """
        self.inputs = recording.inputs
        self.backward = recording.backward
        place: dict[int, int] = {id(x): i for i, x in enumerate(recording.inputs)}
        self._kept = recording  # its arrays live on, so that no other gets the id of one
        self._steps: list[_Step] = []
        for k, (name, function, args, params, rounds, y) in enumerate(recording.noted, len(recording.inputs)):
            if any(type(v) is BallArray for v in params.values()):
                raise Differs
            places = tuple([(i, _slot(place, a)) for i, a in enumerate(args) if type(a) is BallArray])
            if any(type(a) in (list, tuple) for a in args):
                raise Differs
            self._steps.append(_Step(name, function, args, places, params, rounds, y))
            if type(y) is BallArray:
                place.setdefault(id(y), k)
        self.values, self.grads = (
            tuple([_slot(place, y) if type(y) is BallArray else y for y in group]) for group in recording.results
        )
        self.last: tuple[str, Ran] | None = None

    def run(
        self,
        inputs: Sequence[BallArray],
        widen: Callable[..., tuple[Any, bool]],
        *,
        backward: Callable[[], contextlib.AbstractContextManager[None]],
        beside: Ran | None = None,
        alike: Callable[[str], bool] = lambda name: False,
    ) -> Ran:
        """Run the steps.

        Args:
            inputs: balls in the places of the recorded ones.
            widen: takes name, arguments, parameters and result of a step that rounds; returns the result with the declared
                error, and whether it is out of range.
            backward: a context for the backward half.
            beside: an earlier run on the same inputs ...
            alike: ... and whether a primitive rounds as it did there.

        Raises:
            Differs: a decision came out otherwise.
        """
        slots: list[Any] = list(inputs)
        wide: list[bool] = []
        with contextlib.ExitStack() as stack:
            for k, step in enumerate(self._steps):
                if k == self.backward:
                    stack.enter_context(backward())
                if beside is not None and (not step.rounds or alike(step.name)):
                    before = beside.slots
                    for _, slot in step.places:
                        if slots[slot] is not before[slot]:
                            break
                    else:
                        slots.append(before[len(slots)])
                        wide.append(beside.wide[k])
                        continue
                args = list(step.args)
                for i, slot in step.places:
                    args[i] = slots[slot]
                y = step.function(*args, **step.params)
                out = False
                if type(y) is not BallArray:
                    if not _same(y, step.result):
                        raise Differs
                elif type(step.result) is not BallArray:
                    raise Differs
                elif step.rounds:
                    y, out = widen(step.name, tuple(args), step.params, y)
                slots.append(y)
                wide.append(out)
        return Ran(slots, wide)

    def results(self, ran: Ran) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The values and the gradients of a run."""
        return tuple(
            tuple([ran.slots[y] if type(y) is int else y for y in group])  # type: ignore[return-value]  # two groups
            for group in (self.values, self.grads)
        )


def _slot(place: Mapping[int, int], array: BallArray) -> int:
    found = place.get(id(array))
    if found is None:
        raise Differs
    return found


def _same(y: Any, recorded: Any) -> bool:
    if type(y) is np.ndarray:
        return type(recorded) is np.ndarray and y.dtype == recorded.dtype and np.array_equal(y, recorded)
    return type(y) is type(recorded) and bool(y == recorded)
