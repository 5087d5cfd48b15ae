"""Functions on the reference tape as subjects: recorded by `harness.tracing`, run on `reference_impl`.

A primitive of the user's own, and a branch on values, cannot be recorded; such a function is judged by estimates.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference_impl
from harness.cases import Array, Case, Outcome, failed, same_layout
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
                inputs, outputs = self._forward(arrays, flags)
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
                    seeds = [None if c is None else reference_impl.Tensor(same_layout(c)) for c in cotangents]
                    pairs = [(y, c) for y, c in zip(outputs, seeds, strict=True) if c is not None and y.requires_grad]
                    found: Sequence[Any] = [None] * len(leaves)
                    if pairs and leaves:
                        roots, cts = (list(side) for side in zip(*pairs, strict=True))
                        found = reference_impl.autograd.grad(roots, leaves, cts, allow_unused=True)
                    grads = tuple(None if g is None else np.array(g.array) for g in found)
                    mutated += [
                        f"cotangent {k}"
                        for k, (c, d) in enumerate(zip(seeds, cotangents, strict=True))
                        if c is not None and c.array.tobytes() != np.array(d).tobytes()
                    ]
        except Exception as error:  # whatever the tape or the user's rule raises is its outcome
            return Answer(failed(error), live, stage)
        largest = max([float(np.abs(v).max(initial=0.0)) for v in values if v.dtype.kind == "f"], default=0.0)
        return Answer(Outcome(values, grads), live, mutated=tuple(mutated), largest=largest)

    def histories(self, points: Sequence[Sequence[Array]], cotangents: Sequence[Array | None]) -> Mapping[str, Answer]:
        """The gradient at the first point after another call; through a retained graph; with a forward in between."""
        self.run(points[1], cotangents)
        answers = {"after another call": self.run(points[0], cotangents)}
        for name, between in (("backward twice through one graph", "backward"), ("after another forward", "forward")):
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    outputs, leaves = self._leaves(points[0])
                    if between == "forward":
                        with contextlib.suppress(Exception):  # the other point may be outside the domain
                            self._leaves(points[1])
                    else:
                        _pull_back(outputs, leaves, cotangents, retain_graph=True)
                    found = _pull_back(outputs, leaves, cotangents)
                values = tuple(np.array(y.array) for y in outputs)
                grads = tuple(None if g is None else np.array(g.array) for g in found)
                answers[name] = Answer(Outcome(values, grads), tuple(bool(y.requires_grad) for y in outputs))
            except Exception as error:  # as in `run`
                answers[name] = Answer(failed(error), (), "backward")
        return answers

    def _leaves(self, arrays: Sequence[Array]) -> tuple[list[Any], list[Any]]:
        """Outputs of a recorded forward, and the leaves whose gradients are wanted."""
        inputs, outputs = self._forward(arrays, self.wanted)
        return outputs, [x for x, w in zip(inputs, self.wanted, strict=True) if w]

    def _forward(self, arrays: Sequence[Array], wanted: Sequence[bool]) -> tuple[list[Any], list[Any]]:
        """New leaves, and what the function returns for them."""
        made: dict[int, Any] = {}
        inputs = []
        for x, w in zip(arrays, wanted, strict=True):
            array = made.get(id(x)) if w else None
            array = same_layout(x) if array is None else array
            inputs.append(reference_impl.Tensor(array).requires_grad_(w))
            if w:
                made[id(x)] = array  # two arguments in one memory
        return inputs, _tensors(self._call(inputs))

    def hvp(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        directions: Sequence[Array],
        *,
        squares: bool = True,
    ) -> Outcome:
        """Backward through backward of <cotangents, f> + sum(f * f) / 2, or without the squares."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                outputs, leaves = self._leaves(arrays)
                total = _summed(
                    (y * reference_impl.Tensor(np.array(c))).sum() + ((y * y).sum() / 2 if squares else 0.0)
                    for y, c in zip(outputs, cotangents, strict=True)
                    if c is not None and y.requires_grad
                )
                if total is None:
                    return Outcome()
                firsts = reference_impl.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
                slope = _summed(
                    (g * reference_impl.Tensor(np.array(d))).sum()
                    for g, d in zip(firsts, directions, strict=True)
                    if g is not None and g.requires_grad
                )
                if slope is None:
                    return Outcome()
                slope.backward()  # not `grad`: the node that once_differentiable leaves must be met, since it raises
                seconds = tuple(None if x.grad is None else np.array(x.grad.array) for x in leaves)
                return Outcome((np.array(slope.array),), seconds)
        except RuntimeError as error:
            if "once_differentiable" in str(error):
                return Outcome()
            return failed(error)
        except Exception as error:  # as in `run`
            return failed(error)

    def jvp(self, arrays: Sequence[Array], directions: Sequence[Array]) -> Outcome:
        """The tape has no forward mode."""
        return Outcome()

    def combined(
        self,
        mode: str,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        along: Sequence[Array],
        across: Sequence[Array],
    ) -> Outcome:
        """The tape has no forward mode."""
        return Outcome()

    def has_own_rules(self, arrays: Sequence[Array]) -> bool:
        """Nothing is asked that depends on it."""
        return False

    def transposed(
        self, arrays: Sequence[Array], cotangents: Sequence[Array | None], directions: Sequence[Array]
    ) -> Outcome:
        """Backward through backward, to the cotangents."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                outputs, leaves = self._leaves(arrays)
                seeds = [None if c is None else reference_impl.Tensor(np.array(c)).requires_grad_() for c in cotangents]
                pairs = [(y, c) for y, c in zip(outputs, seeds, strict=True) if c is not None and y.requires_grad]
                if not pairs:
                    return Outcome()
                roots, cts = (list(side) for side in zip(*pairs, strict=True))
                grads = reference_impl.autograd.grad(roots, leaves, cts, create_graph=True, allow_unused=True)
                if any(g is not None and not g.requires_grad for g in grads):
                    return Outcome()  # no second backward is promised
                slope = _summed(
                    (g * reference_impl.Tensor(np.array(d))).sum()
                    for g, d in zip(grads, directions, strict=True)
                    if g is not None
                )
                if slope is None:
                    return Outcome()
                slope.backward()  # not `grad`: see `hvp`
        except RuntimeError as error:
            if "once_differentiable" in str(error):
                return Outcome()
            return failed(error)
        except Exception as error:  # as in `run`
            return failed(error)
        found = [None if c is None or c.grad is None else np.array(c.grad.array) for c in seeds]
        return Outcome(tuple(np.zeros(y.array.shape) if t is None else t for t, y in zip(found, outputs, strict=True)))

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


def _pull_back(outputs: Sequence[Any], leaves: Sequence[Any], cotangents: Sequence[Array | None], **how: Any) -> Any:
    pairs = [
        (y, reference_impl.Tensor(same_layout(c)))
        for y, c in zip(outputs, cotangents, strict=True)
        if c is not None and y.requires_grad
    ]
    if not pairs or not leaves:
        return [None] * len(leaves)
    roots, cts = (list(side) for side in zip(*pairs, strict=True))
    return reference_impl.autograd.grad(roots, leaves, cts, allow_unused=True, **how)


def _summed(parts: Iterable[Any]) -> Any:
    """The sum; None if there is nothing to sum."""
    total = None
    for part in parts:
        total = part if total is None else total + part
    return total


def _tensors(returned: Any) -> list[Any]:
    if isinstance(returned, (tuple, list)):
        return [y for part in returned for y in _tensors(part)]
    return [returned] if isinstance(returned, reference_impl.Tensor) else []
