"""Where defects are planted: ops at the shapes of their tensors, with what is known of them, and example inputs.

>>> site = SITES["mul"]
>>> site.shapes, [x.shape for x in example(site, seed=1)]
(((2, 3), (3,)), [(2, 3), (3,)])
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SITES", "Site", "example"]

Shape = tuple[int, ...]
Params = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Site:
    """An op as it is planted.

    Attributes:
        op: its name in the vocabulary.
        shapes: of its tensors.
        params: its parameters.
        positive: its tensors hold positive numbers.
        turned: parameters with which it works along another axis of the same size; none if it has no such thing.
        traits: "unary", "binary" or "reduction" of a shape as its operands suggest; "linear", "flat" (its derivative is
            constant in pieces) or neither; "grows" if its gradient at 30 times the example is no rounding of 0; "kink" if
            the derivative jumps at 0 or at a tie; "square" if its matrices are.
    """

    op: str
    shapes: tuple[Shape, ...]
    params: Params = ()
    positive: bool = False
    turned: Params = ()
    traits: frozenset[str] = frozenset()


def _unary(names: str, *, positive: bool = False) -> Iterator[Site]:
    """Sites of functions of one number; behind a name its traits, joined by dots."""
    for word in names.split():
        name, *traits = word.split(".")
        yield Site(name, ((2, 3),), positive=positive, traits=frozenset({"unary", *traits}))


def _binary(names: str, *, positive: bool = False, second: Shape = (3,)) -> Iterator[Site]:
    for word in names.split():
        name, *traits = word.split(".")
        yield Site(name, ((2, 3), second), positive=positive, traits=frozenset({"binary", *traits}))


def _along(names: str, kind: str, **params: Any) -> Iterator[Site]:
    """Sites of ops along one axis of a square array."""
    for word in names.split():
        name, *traits = word.split(".")
        own = tuple(sorted({"dim": 1, **params}.items()))
        other = tuple(sorted({"dim": 0, **params}.items()))
        yield Site(name, ((3, 3),), own, turned=other, traits=frozenset({kind, *traits}))


def _fixed(op: str, *shapes: Shape, traits: str = "", **params: Any) -> Site:
    return Site(op, shapes, tuple(sorted(params.items())), traits=frozenset(traits.split()))


_SITES: tuple[Site, ...] = (
    *_unary(
        "neg.linear.grows clone.linear.grows abs.flat.grows.kink relu.flat.grows.kink leaky_relu.flat.grows.kink "
        "hardtanh.flat exp expm1 sin.grows cos.grows tan sinh cosh tanh atan sigmoid softplus.grows silu.grows gelu.grows "
        "erf softsign asinh.grows mish.grows square.grows logsigmoid elu.grows"
    ),
    *_unary("log.grows log1p.grows log2.grows sqrt.grows rsqrt.grows reciprocal.grows lgamma.grows", positive=True),
    *_binary("add.linear.grows sub.linear.grows mul.grows logaddexp.grows atan2.grows hypot.grows"),
    *_binary("div.grows pow xlogy.grows", positive=True),
    *_binary("maximum.flat.grows.kink minimum.flat.grows.kink fmax.flat.grows.kink", second=(2, 3)),
    *_along("sum.linear.grows mean.linear.grows amax.flat.grows.kink amin.flat.grows.kink logsumexp", "reduction"),
    *_along("softmax log_softmax cumsum.linear.grows cumprod", "scan"),
    *_along("prod var vector_norm.grows", "reduction"),
    _fixed("matmul", (3, 3), (3, 3), traits="square grows"),
    _fixed("bmm", (2, 3, 2), (2, 2, 3), traits="grows"),
    _fixed("outer", (2,), (3,), traits="grows"),
    _fixed("dot", (3,), (3,), traits="grows"),
    _fixed("linear", (2, 3), (4, 3), (4,), traits="grows"),
    _fixed("addmm", (2, 2), (2, 3), (3, 2), traits="grows"),
    _fixed("conv1d", (1, 2, 5), (2, 2, 3), traits="grows"),
    _fixed("layer_norm", (2, 4), normalized_shape=(4,)),
    _fixed("inv", (3, 3), plus=4.0, traits="square"),
    _fixed("det", (3, 3), plus=4.0, traits="square"),
    _fixed("logabsdet", (3, 3), plus=4.0, traits="square"),
    _fixed("solve", (3, 3), (3, 2), plus=4.0),
    _fixed("cat", (2, 3), (1, 3), dim=0, traits="linear grows"),
    _fixed("stack", (2, 3), (2, 3), dim=1, traits="linear grows"),
    _fixed("transpose", (3, 3), dim0=0, dim1=1, traits="linear grows square"),
    _fixed("permute", (2, 3), dims=(1, 0), traits="linear grows"),
    _fixed("flip", (2, 3), dims=(1,), traits="linear grows"),
    _fixed("reshape", (2, 3), shape=(3, 2), traits="linear grows"),
    _fixed("expand", (1, 3), shape=(2, 3), traits="linear grows"),
    _fixed("index_select", (3, 2), dim=0, index=(0, 2, 0), traits="linear grows"),
    _fixed("tril", (3, 3), traits="linear grows square"),
    _fixed("mse_loss", (2, 3), (2, 3), traits="grows"),
    _fixed("lerp", (2, 3), (2, 3), (2, 3), traits="grows"),
)
SITES: Final[dict[str, Site]] = {site.op: site for site in _SITES}


def example(site: Site, *, seed: int = 0, dtype: str = "float64") -> tuple[NDArray[Any], ...]:
    """Numbers of ordinary size without ties and zeros, dense in memory; the same for every checker."""
    rng = np.random.default_rng([seed, zlib.crc32(site.op.encode())])
    found = []
    for shape in site.shapes:
        sizes = rng.uniform(0.25, 1.75, shape)
        signs = 1.0 if site.positive else rng.choice([-1.0, 1.0], shape)
        found.append(np.asarray(sizes * signs, dtype=dtype))
    return tuple(found)
