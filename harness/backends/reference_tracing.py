"""Functions on the reference tape as subjects: recorded by `harness.tracing`, run on `reference_impl`.

A primitive of the user's own, and a branch on values, cannot be recorded; such a function is judged by estimates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference_impl
from harness.cases import Array, Case, Failure, Outcome
from harness.frontends import Answer, Traced, Untraceable
from harness.inference import ProgramError
from harness.programs import Program
from harness.sources import to_source
from harness.tracing import TracingError
from harness.tracing import trace as record

__all__ = ["ReferenceSubject", "bind"]


def bind(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> ReferenceSubject:
    """Bind a function on the tape to example arguments: tensors or arrays by position, anything else as it is.

    Gradients are wanted of the tensors that require grad, of all floating-point ones if none does.
    """
    places = [i for i, v in enumerate(args) if isinstance(v, (reference_impl.Tensor, np.ndarray))]
    arrays = [np.array(v.array if isinstance(v, reference_impl.Tensor) else v) for v in (args[i] for i in places)]
    asked = any(isinstance(args[i], reference_impl.Tensor) and args[i].requires_grad for i in places)
    wanted = tuple(
        a.dtype.kind == "f" and (not asked or bool(getattr(args[i], "requires_grad", False)))
        for i, a in zip(places, arrays, strict=True)
    )
    return ReferenceSubject(
        name=getattr(fn, "__name__", type(fn).__name__),
        arrays=tuple(arrays),
        wanted=wanted,
        labels=tuple(f"argument {i}" for i in places),
        arguments=len(arrays),
        fn=fn,
        args=tuple(args),
        kwargs=dict(kwargs),
        places=tuple(places),
    )


@dataclass(frozen=True, eq=False)
class ReferenceSubject:
    """A function on the tape with example arguments; see `harness.frontends.Subject`."""

    name: str
    arrays: tuple[Array, ...]
    wanted: tuple[bool, ...]
    labels: tuple[str, ...]
    arguments: int
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    places: tuple[int, ...]
    asked: bool = True
    framework: str = "reference"
    kernels: str = "reference"

    def trace(self, arrays: Sequence[Array]) -> Traced:
        """Call the function on stand-ins."""
        moving = [x for x, w in zip(arrays, self.wanted, strict=True) if w]
        fixed = [x for x, w in zip(arrays, self.wanted, strict=True) if not w]

        def in_order(*stand_ins: Any) -> Any:
            wanted, rest = iter(stand_ins[: len(moving)]), iter(stand_ins[len(moving) :])
            return self._call([next(wanted) if w else next(rest) for w in self.wanted])

        try:
            program = record(in_order, *moving, *fixed)
        except (TracingError, ProgramError, AttributeError, TypeError) as error:
            raise Untraceable(str(error)) from error
        return Traced(program, tuple(fixed), self.run(arrays, None).live)

    def run(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        *,
        wanted: Sequence[bool] | None = None,
        watched: bool = False,
    ) -> Answer:
        """Run forward and backward on new leaves."""
        flags = self.wanted if wanted is None else wanted
        stage = "forward"
        live: tuple[bool, ...] = ()
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                inputs = [reference_impl.Tensor(np.array(x)) for x in arrays]
                for x, w in zip(inputs, flags, strict=True):
                    if w:
                        x.requires_grad_()
                outputs = _tensors(self._call(inputs))
                live = tuple(bool(y.requires_grad) for y in outputs)
                values = tuple(np.array(y.array) for y in outputs)
                mutated = [
                    label
                    for label, x, y in zip(self.labels, inputs, arrays, strict=True)
                    if x.array.tobytes() != np.array(y).tobytes()
                ]
                grads: tuple[Array | None, ...] = ()
                if cotangents is not None:
                    stage = "backward"
                    leaves = [x for x, w in zip(inputs, flags, strict=True) if w]
                    pairs = [
                        (y, reference_impl.Tensor(np.array(c)))
                        for y, c in zip(outputs, cotangents, strict=True)
                        if c is not None and y.requires_grad
                    ]
                    found: Sequence[Any] = [None] * len(leaves)
                    if pairs and leaves:
                        roots, seeds = (list(side) for side in zip(*pairs, strict=True))
                        found = reference_impl.autograd.grad(roots, leaves, seeds, allow_unused=True)
                    grads = tuple(None if g is None else np.array(g.array) for g in found)
        except Exception as error:  # whatever the tape or the user's rule raises is its outcome
            return Answer(Outcome(failure=Failure(type(error).__name__, str(error))), live, stage)
        largest = max([float(np.abs(v).max(initial=0.0)) for v in values if v.dtype.kind == "f"], default=0.0)
        return Answer(Outcome(values, grads), live, mutated=tuple(mutated), largest=largest)

    def histories(self, points: Sequence[Sequence[Array]], cotangents: Sequence[Array | None]) -> Mapping[str, Answer]:
        """The gradient at the first point after another call."""
        self.run(points[1], cotangents)
        return {"after another call": self.run(points[0], cotangents)}

    def hvp(self, arrays: Sequence[Array], cotangents: Sequence[Array | None], directions: Sequence[Array]) -> Outcome:
        """Second order is judged program by program elsewhere; none here."""
        return Outcome()

    def jvp(self, arrays: Sequence[Array], directions: Sequence[Array]) -> Outcome:
        """The tape has no forward mode."""
        return Outcome()

    def batched(self, stacks: Sequence[Array], cotangents: Sequence[Array | None]) -> Outcome:
        """The tape has no batching."""
        return Outcome()

    def script(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        truth: Sequence[tuple[Array, Array] | None],
        note: str,
    ) -> str:
        """A script of the recorded program; "" if the function is opaque."""
        try:
            traced = self.trace(arrays)
        except Untraceable:
            return ""
        program: Program = traced.program
        moving = [x for x, w in zip(arrays, self.wanted, strict=True) if w]
        flags = (True,) * len(moving) + (False,) * len(traced.constants)
        case = Case(program, (*moving, *traced.constants), flags, tuple(cotangents))
        return f"# {note}\n" + to_source(case, "reference", expected=list(truth))

    def _call(self, given: Sequence[Any]) -> Any:
        args = list(self.args)
        for place, x in zip(self.places, given, strict=True):
            args[place] = x
        return self.fn(*args, **self.kwargs)


def _tensors(returned: Any) -> list[Any]:
    if isinstance(returned, (tuple, list)):
        return [y for part in returned for y in _tensors(part)]
    return [returned] if isinstance(returned, reference_impl.Tensor) else []
