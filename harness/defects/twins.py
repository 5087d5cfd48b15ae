"""A defect as a function with a wrong backward, in terms that any framework can be taught.

A `Twin` has the forward of an op, or of a small composition of it, and a backward which asks the framework for the right
gradient of that forward and then spoils it. `Arrays` is what a framework must offer; the files `torch_twins`,
`jax_twins`, `reference_twins` and `autograd_twins` under `harness.backends` offer it, and make of a twin what users of the
framework write: an autograd function, a `custom_vjp`, a primitive with its `defvjp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.defects.declared import Defect
from harness.defects.rules import LARGE
from harness.defects.sites import SITES, Site, example

__all__ = ["IN_PLACE", "Arrays", "Kept", "Twin", "as_function", "telling"]

IN_PLACE = frozenset({"stale call", "writes cotangent", "writes saved", "writes argument"})
"""Kinds that need arrays which can be written into, or state between calls."""


class Arrays(Protocol):
    """What a framework's arrays must be able to do.

    Attributes:
        in_place: they can be written into, have strides, and a backward may keep state.
    """

    in_place: bool

    def op(self, name: str, xs: Sequence[Any], params: dict[str, Any]) -> Any:
        """The framework's own op of that name in the vocabulary."""
        ...

    def pull(self, function: Callable[..., Any], xs: Sequence[Any], ct: Any) -> list[Any]:
        """The framework's own gradient of a function, differentiable once more where that is asked for."""
        ...

    def detach(self, x: Any) -> Any:
        """The same numbers, cut off."""
        ...

    def take(self, x: Any, index: NDArray[Any]) -> Any:
        """The elements of x, in a row, at the places that `index` names, in its shape."""
        ...

    def spread(self, x: Any, shape: Sequence[int]) -> Any:
        """x broadcast to a shape, as an array of its own."""
        ...

    def cast(self, x: Any, dtype: str) -> Any:
        """The same numbers as another dtype."""
        ...

    def dtype(self, x: Any) -> str:
        """Name of the dtype."""
        ...

    def layout(self, x: Any) -> str:
        """ "dense", "expanded" (an axis with stride 0) or "other"."""
        ...

    def write(self, x: Any, values: Any) -> None:
        """Overwrite the numbers of x, unseen by any record."""
        ...


@dataclass(eq=False)
class Kept:
    """What a backward finds: the arguments, and what this call and former calls left."""

    xs: Sequence[Any]
    memory: dict[str, Any] = field(default_factory=dict)
    former: Sequence[Any] = ()


@dataclass(frozen=True)
class Twin:
    """The function of a defect, with the defect or without it.

    Attributes:
        defect: what is wrong, which decides what the forward is composed of.
        planted: False for the same function with the right gradient.
    """

    defect: Defect
    planted: bool = True

    @property
    def site(self) -> Site:
        """The op and its shapes."""
        return SITES[self.defect.op]

    @property
    def dtype(self) -> str:
        """The dtype of the example."""
        return "float32" if self.defect.where == "float32" else "float64"

    @property
    def form(self) -> str:
        """What the forward is: "op(xs)", "op(x, x)", "op(x) x", "op(x) sum(x)" or "op(x) detach(sum(x))"."""
        match self.defect.kind:
            case "lost use":
                return "op(x) x" if len(self.site.shapes) == 1 else "op(x, x)"
            case "cut":
                return "op(x) sum(x)"
            case "leak":
                return "op(x) detach(sum(x))"
        return "op(xs)"

    def example(self, seed: int = 0) -> tuple[NDArray[Any], ...]:
        """The arguments that every checker gets."""
        xs = example(self.site, seed=seed, dtype=self.dtype)
        return xs if self.form == "op(xs)" else xs[:1]

    def forward(self, a: Arrays, *xs: Any) -> Any:
        """The value."""
        match self.form:
            case "op(x, x)":
                return self._op(a, xs[0], xs[0])
            case "op(x) x":
                return self._op(a, xs[0]) * xs[0]
            case "op(x) sum(x)":
                return self._op(a, xs[0]) * xs[0].sum()
            case "op(x) detach(sum(x))":
                return self._op(a, xs[0]) * a.detach(xs[0].sum())
        return self._op(a, *xs)

    def _op(self, a: Arrays, *xs: Any) -> Any:
        return a.op(self.site.op, xs, dict(self.site.params))

    def backward(self, a: Arrays, kept: Kept, ct: Any) -> list[Any]:
        """The gradients: right ones, or with the defect."""
        right = a.pull(lambda *xs: self.forward(a, *xs), kept.xs, ct)
        i, where = self.defect.argument, self.defect.where
        if not self.planted or not _shows(a, where, kept.xs, ct):
            return right
        wrong = list(right)
        wrong[i] = self._wrong(a, kept, ct, right[i])
        if self.defect.kind == "wrong argument":
            wrong[1 - i] = right[i]
        if where == "large":
            far = a.cast(abs(kept.xs[i]) > LARGE, a.dtype(right[i]))
            wrong[i] = right[i] + (wrong[i] - right[i]) * far
        return wrong

    def _wrong(self, a: Arrays, kept: Kept, ct: Any, g: Any) -> Any:
        i, size = self.defect.argument, self.defect.size
        xs = list(kept.xs)
        match self.defect.kind:
            case "zero":
                return g * 0.0
            case "cotangent":
                return ct * 1.0
            case "sign":
                return -g
            case "factor":
                return g * (1.0 + size)
            case "not zero":
                return g + 1.0
            case "dropped element":
                mask = np.ones(tuple(g.shape))
                mask.reshape(-1)[:1] = 0.0
                return g * a.cast(mask, a.dtype(g))
            case "wrong place":
                return a.take(g, np.roll(_places(g), 1))
            case "wrong argument":
                return a.pull(lambda *ts: self.forward(a, *ts), xs, ct)[1 - i]
            case "wrong axis":
                return self._along_another_axis(a, xs, ct, g)
            case "missing sum":
                shape = tuple(xs[i].shape)
                xs[i] = a.spread(xs[i], tuple(ct.shape))
                wide = a.pull(lambda *ts: self.forward(a, *ts), xs, ct)[i]
                extra = len(wide.shape) - len(shape)
                first = (0,) * extra + tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)
                return a.take(wide, np.asarray(_places(wide)[first]))
            case "lost use":
                if self.form == "op(x, x)":
                    return a.pull(lambda x, y: self._op(a, x, y), [xs[0], xs[0]], ct)[0]
                return a.pull(lambda x, y: self._op(a, x) * y, [xs[0], xs[0]], ct)[0]
            case "cut":
                return a.pull(lambda x: self._op(a, x) * a.detach(x.sum()), xs, ct)[0]
            case "leak":
                return a.pull(lambda x: self._op(a, x) * x.sum(), xs, ct)[0]
            case "stale call":
                former = kept.former
                fits = [tuple(x.shape) for x in former] == [tuple(x.shape) for x in xs]
                return a.pull(lambda *ts: self.forward(a, *ts), former, ct)[i] if fits else g
            case "stale copy":
                xs[i] = xs[i] * 0.5  # the buffer was scaled for another use before backward read it
                return a.pull(lambda *ts: self.forward(a, *ts), xs, ct)[i]
            case "writes cotangent":
                g = g * 1.0  # before the cotangent, of which it may be a view, changes
                a.write(ct, a.detach(ct) * 0.5)
                return g
            case "writes saved":
                kept.memory["calls"] = kept.memory.get("calls", 0) + 1
                return g * float(kept.memory["calls"])
            case "writes argument":
                return g
            case "dtype":
                return a.cast(g, "float32")
            case "tie":
                return self._wrong_at_ties(a, xs, ct, g)
            case "second order":
                if size:
                    return g + size * (xs[i] - a.detach(xs[i]))
                return a.pull(lambda *ts: self.forward(a, *ts), [a.detach(x) for x in xs], ct)[i]
        raise ValueError(f"kind: {self.defect.kind!r} is no defect of a function")

    def _along_another_axis(self, a: Arrays, xs: Sequence[Any], ct: Any, g: Any) -> Any:
        sizes = set(g.shape)
        if len(sizes) > 1:
            return g  # where the sizes differ the mistake raises, which nobody overlooks
        if self.site.turned:
            return a.pull(lambda x: a.op(self.site.op, [x], dict(self.site.turned)), xs, ct)[0]
        return a.take(g, _places(g).T)

    def _wrong_at_ties(self, a: Arrays, xs: Sequence[Any], ct: Any, g: Any) -> Any:
        dtype = a.dtype(g)
        if "binary" in self.site.traits:  # one gets a whole cotangent besides its share
            return g + ct * a.cast(xs[0] == xs[1], dtype)
        if "reduction" in self.site.traits:  # each of the largest gets all of it
            params = {**dict(self.site.params), "keepdim": True}
            tied = a.cast(xs[0] == a.op(self.site.op, xs, params), dtype)
            return g * a.op("sum", [tied], params)
        # Beyond the slopes of either side: two less than JAX's 1 at 0 would be the slope of `abs` on the left, and no defect.
        return g - 3.0 * ct * a.cast(xs[0] == 0, dtype)


def _shows(a: Arrays, where: str, xs: Sequence[Any], ct: Any) -> bool:
    match where:
        case "float32":
            return bool(a.dtype(ct) == "float32")
        case "non-contiguous":
            return any(a.layout(x) == "other" for x in xs)
        case "expanded":
            return any(a.layout(x) == "expanded" for x in xs)
        case "size 0":
            return bool(math.prod(ct.shape) == 0)
        case "size 1":
            return any(1 in tuple(x.shape) for x in xs)
    return True


def _places(x: Any) -> NDArray[Any]:
    return np.arange(math.prod(x.shape)).reshape(tuple(x.shape))


def telling(twin: Twin, seed: int = 0) -> tuple[NDArray[Any], ...]:
    """Arguments at which the first call of the backward shows the defect, if it is one that a single call can show."""
    xs = twin.example(seed)
    i = twin.defect.argument
    match twin.defect.where:
        case "non-contiguous":
            return tuple(np.asarray(x.T.copy().T if x.ndim > 1 else np.repeat(x, 2)[::2]) for x in xs)
        case "expanded":
            return tuple(np.broadcast_to(x[:1], x.shape) for x in xs)
        case "size 1":
            n = xs[0].shape[-1]
            return tuple(x[..., :1] if x.shape[-1] == n else x for x in xs)
        case "size 0":
            return (xs[0][:0], *xs[1:])
        case "large":
            return tuple(x * 64 if j == i else x for j, x in enumerate(xs))
    if twin.defect.kind == "tie":
        if len(xs) == 2:
            return xs[0], xs[0].copy()
        tied = xs[0].copy()
        tied[0, :2] = 3.0 if twin.defect.op != "amin" else -3.0
        tied[0, 0] = 0.0 if "unary" in twin.site.traits else tied[0, 0]
        return (tied,)
    return xs


def as_function(twin: Twin, arrays: Arrays, base: Any, recorded: Callable[[Any], bool]) -> Callable[..., Any]:
    """The twin as a custom function of PyTorch's kind.

    Args:
        twin: what is planted, if it is.
        arrays: what the framework offers.
        base: its class `autograd.Function`.
        recorded: tells whether an argument stands in for a tensor while the forward is recorded; nothing may be written then.
    """
    former: list[Any] = []
    writes = twin.planted and twin.defect.kind == "writes argument"

    class Planted(base):  # type: ignore[misc]  # which class it is, no type checker sees
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            real = not any(map(recorded, xs))
            ctx.save_for_backward(*([x.detach().clone() for x in xs] if writes and real else xs))
            ctx.memory = {}
            if twin.defect.kind == "stale call" and real:
                former[:] = [x.detach().clone() for x in xs]
            y = twin.forward(arrays, *xs)
            if writes and real:
                y = y.clone()
                arrays.write(xs[0], xs[0].detach() + 1.0)
            return y

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return tuple(twin.backward(arrays, Kept(ctx.saved_tensors, ctx.memory, former), ct))

    apply: Callable[..., Any] = Planted.apply
    return apply
