"""Products that sum, as compositions of `matmul`, elementwise products and movement: `einsum`, `tensordot`, `addmm` and kin.

>>> import reference_impl as torch
>>> a = torch.arange(6.0).reshape(2, 3)
>>> torch.einsum("ij,kj->ik", a, a)
tensor([[ 5., 14.],
        [14., 50.]])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from reference_impl.checks import axis_of
from reference_impl.ops import indexing, movement, reductions
from reference_impl.ops.contraction import dot, matmul
from reference_impl.ops.elementwise import add, mul, overwrite, sub
from reference_impl.tensor import Tensor, rename

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "cdist",
    "chain_matmul",
    "cross",
    "dist",
    "einsum",
    "inner",
    "kron",
    "multi_dot",
    "pdist",
    "tensordot",
    "vdot",
    "vecdot",
]

vdot = dot


# -- products of matrices, added to something


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, (b, n, m) with (b, m, p).

    Raises:
        RuntimeError: an operand has not three dimensions, or the shapes do not fit.
    """
    for name, x in (("batch1", input), ("batch2", mat2)):
        if x.array.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor, got shape {list(x.shape)}")
    (b, _, m), (c, k, _p) = input.array.shape, mat2.array.shape
    if b != c or m != k:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {m}] but got: [{c}, {k}]."
        )
    out: Tensor = matmul(input, mat2)
    rename(out._node, "BmmBackward0")
    return out


def _scaled(x: Any, factor: float) -> Any:
    return x if factor == 1 else mul(x, factor)


def _added(input: Tensor, product: Any, beta: float, alpha: float) -> Tensor:
    """beta * input + alpha * product; with beta = 0 the input counts as zeros even where it is nan."""
    product = _scaled(product, alpha)
    if input.array.ndim > product.array.ndim or any(
        n not in (1, m) for n, m in zip(input.array.shape[::-1], product.array.shape[::-1], strict=False)
    ):
        raise RuntimeError(
            f"The expanded size of the tensor {list(product.shape)} must match the existing size {list(input.shape)}"
        )
    out: Tensor = add(overwrite(input, 0.0) if beta == 0 else _scaled(input, beta), product)
    return out


def _ranks(name: str, *expected: tuple[str, Tensor, int]) -> None:
    for argument, x, rank in expected:
        if x.array.ndim != rank:
            raise RuntimeError(f"{name}: {argument} must be {rank}-D, got {x.array.ndim}-D")


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2) of matrices; the input broadcasts."""
    _ranks("addmm", ("mat1", mat1, 2), ("mat2", mat2, 2))
    out = _added(input, matmul(mat1, mat2), beta, alpha)
    rename(out._node, "AddmmBackward0")
    return out


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    _ranks("addmv", ("mat", mat, 2), ("vec", vec, 1))
    return _added(input, matmul(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    _ranks("addr", ("vec1", vec1, 1), ("vec2", vec2, 1))
    left = mul(movement.unsqueeze(vec1, dim=1), movement.unsqueeze(vec2, dim=0))
    return _added(input, left, beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2)."""
    return _added(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (the sum of the products in bmm(batch1, batch2)), as one product of long matrices."""
    _ranks("addbmm", ("batch1", batch1, 3), ("batch2", batch2, 3))
    product, _ = _contracted(batch1, [0, 1, 2], batch2, [0, 2, 3], {1, 3})
    return _added(input, product, beta, alpha)


# -- products of vectors


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The inner products of vectors along `dim`; the other dimensions broadcast."""
    if dim < 0:
        x, y = movement.transpose(x, dim0=dim, dim1=-1), movement.transpose(y, dim0=dim, dim1=-1)
    else:
        rank = max(x.array.ndim, y.array.ndim)
        x, y = _of_rank(x, rank), _of_rank(y, rank)
        x, y = movement.transpose(x, dim0=dim, dim1=-1), movement.transpose(y, dim0=dim, dim1=-1)
    if x.array.shape[-1] != y.array.shape[-1]:
        raise RuntimeError(
            f"linalg.vecdot: the dimensions differ: {x.array.shape[-1]} and {y.array.shape[-1]} elements along {dim}"
        )
    product = matmul(movement.unsqueeze(x, dim=-2), movement.unsqueeze(y, dim=-1))
    product = movement.reshape(product, shape=tuple(product.shape[:-2]))
    if dim in (-1, max(x.array.ndim, y.array.ndim) - 1):
        return _as_tensor(product)
    # What stood last moved to where the summed dimension was: move it back.
    at = dim + 1 if dim < 0 else dim
    order = list(range(product.array.ndim))
    order.append(order.pop(at))
    return _as_tensor(movement.permute(product, dims=tuple(order)))


def _as_tensor(x: Any) -> Tensor:
    out: Tensor = x
    return out


def _of_rank(x: Tensor, rank: int) -> Tensor:
    out: Tensor = movement.reshape(x, shape=(1,) * (rank - x.array.ndim) + tuple(x.shape))
    return out


def inner(input: Tensor, other: Tensor) -> Tensor:
    """The inner products of the vectors along the last dimensions of both; of numbers, the product."""
    if input.array.ndim == 0 or other.array.ndim == 0:
        return _as_tensor(mul(input, other))
    if input.array.shape[-1] != other.array.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and "
            f"{list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of the input times the whole of the other."""
    rank = max(input.array.ndim, other.array.ndim)
    a, b = _of_rank(input, rank), _of_rank(other, rank)
    left = movement.reshape(a, shape=tuple(n for m in a.shape for n in (m, 1)))
    right = movement.reshape(b, shape=tuple(n for m in b.shape for n in (1, m)))
    shape = tuple(m * n for m, n in zip(a.shape, b.shape, strict=True))
    return _as_tensor(movement.reshape(mul(left, right), shape=shape))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors of three elements along `dim`, by default along the first dimension of length 3.

    Raises:
        RuntimeError: no dimension, or not the one that is named, has length 3.
    """
    rank = input.array.ndim
    if rank != other.array.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {rank} and {other.ndim}."
        )
    if dim is None:
        dims = [d for d, n in enumerate(input.array.shape) if n == 3]
        if not dims:
            raise RuntimeError(f"no dimension of size 3 in input, got shape {list(input.shape)}")
        dim = dims[0]
    a, b, axis = input, other, axis_of(dim, rank)
    if a.array.shape[axis] != 3 or b.array.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.array.shape[axis]} and "
            f"{b.array.shape[axis]}"
        )

    def turned(x: Tensor, first: int) -> Any:
        return indexing.index_select(x, dim=axis, index=np.array([first, (first + 1) % 3, (first + 2) % 3]))

    return _as_tensor(sub(mul(turned(a, 1), turned(b, 2)), mul(turned(a, 2), turned(b, 1))))


_COMPUTE_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = _COMPUTE_MODES[0]) -> Tensor:
    """The p-norm distances of each row of x1, (..., n, d), to each row of x2, (..., m, d). At distance 0 the gradient is 0.

    Ties of the largest difference (p = inf) share the gradient evenly.

    Args:
        compute_mode: PyTorch's choice of an algorithm, of which the reference has one: differences, then their norm.

    Raises:
        RuntimeError: p is negative, or the shapes do not fit.
        ValueError: a mode that there is not.
    """
    if compute_mode not in _COMPUTE_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    if x1.array.ndim < 2 or x2.array.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, got {x1.array.ndim}D and {x2.array.ndim}D")
    if x1.array.shape[-1] != x2.array.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.array.shape[-1]} X2: {x2.array.shape[-1]}"
        )
    apart = sub(movement.unsqueeze(x1, dim=-2), movement.unsqueeze(x2, dim=-3))
    return _as_tensor(reductions.vector_norm(apart, ord=float(p), dim=-1, keepdim=False))


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of the rows of a matrix to the rows behind them, as one vector. At distance 0 the gradient is 0.

    Raises:
        RuntimeError: the input is no matrix, or p is negative.
    """
    if input.array.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.array.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = np.triu_indices(input.array.shape[0], 1)
    apart = sub(indexing.index_select(input, dim=0, index=first), indexing.index_select(input, dim=0, index=second))
    return _as_tensor(reductions.vector_norm(apart, ord=float(p), dim=-1, keepdim=False))


def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of input - other; at distance 0 the gradient is 0."""
    return _as_tensor(reductions.vector_norm(sub(input, other), ord=float(p), dim=None, keepdim=False))


# -- chains


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices in the order of fewest multiplications; the ends may be vectors.

    Raises:
        RuntimeError: fewer than two, or one in the middle is no matrix.
    """
    xs = list(tensors)
    if len(xs) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(xs)}")
    ends = [x.array.ndim for x in (xs[0], xs[-1])]
    if any(n not in (1, 2) for n in ends) or any(x.array.ndim != 2 for x in xs[1:-1]):
        raise RuntimeError(f"multi_dot(): expected matrices, at the ends also vectors, got {[x.ndim for x in xs]} dims")
    if ends[0] == 1:
        xs[0] = _as_tensor(movement.unsqueeze(xs[0], dim=0))
    if ends[1] == 1:
        xs[-1] = _as_tensor(movement.unsqueeze(xs[-1], dim=1))
    for a, b in pairwise(xs):
        if a.array.shape[1] != b.array.shape[0]:
            raise RuntimeError(f"multi_dot(): tensors {list(a.shape)} and {list(b.shape)} cannot be multiplied")
    product = _chain(xs, _cheapest([xs[0].array.shape[0], *[x.array.shape[1] for x in xs]]), 0, len(xs) - 1)
    shape = tuple(n for n, end in zip(product.array.shape, ends, strict=True) if end == 2)
    return product if len(shape) == 2 else _as_tensor(movement.reshape(product, shape=shape))


def _cheapest(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Return where to split each stretch i..j of the chain. Source: CLRS, Introduction to Algorithms, section 15.2."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return split


def _chain(xs: list[Tensor], split: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return xs[i]
    k = split[i, j]
    return _as_tensor(matmul(_chain(xs, split, i, k), _chain(xs, split, k + 1, j)))


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of one or more matrices in the order of fewest multiplications."""
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


# -- contraction by named dimensions


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over pairs of dimensions: the last `dims` of a with the first of b, or two lists of them.

    Raises:
        RuntimeError: the lists differ in length or the paired dimensions in size.
    """
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        left, right = list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
        left, right = [d % a.array.ndim for d in left], [d % b.array.ndim for d in right]
    if len(left) != len(right) or max(len(left), 0) > min(a.array.ndim, b.array.ndim):
        raise RuntimeError(f"both dimension lists should have same length, got {left} and {right}")
    for i, j in zip(left, right, strict=True):
        if a.array.shape[i] != b.array.shape[j] and 1 not in (a.array.shape[i], b.array.shape[j]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.array.shape[i]} in dim {i} and second has "
                f"size {b.array.shape[j]} in dim {j}"
            )
    labels = list(range(a.array.ndim))
    others = [left_of[0] if (left_of := [i for i, k in zip(left, right, strict=True) if k == j]) else -1 - j
              for j in range(b.array.ndim)]  # fmt: skip
    keep = {*labels, *others} - set(left)
    product, names = _contracted(a, labels, b, others, keep)
    order = [n for n in labels if n in keep] + [n for n in others if n in keep]
    return _as_tensor(_permuted(product, names, order))


def einsum(equation: Any, *operands: Any) -> Tensor:
    """The sum of products in Einstein's notation: "ij,jk->ik", with "..." for any dimensions, repeats for diagonals.

    Operands are contracted two at a time from the left. What no other operand and no output names is summed first.
    Also takes PyTorch's other form: operands and lists of ints in turn, with the list of the output last.

    Raises:
        RuntimeError: the equation does not fit the operands.
    """
    if isinstance(equation, Tensor):
        equation, operands = _as_equation((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    names, result = _parse(equation, operands)
    x, labels = _diagonal(operands[0], names[0])
    x, labels = _summed(x, labels, {*result, *(n for other in names[1:] for n in other)})
    for k in range(1, len(operands)):
        later = {*result, *(n for other in names[k + 1 :] for n in other)}
        y, others = _diagonal(operands[k], names[k])
        x, labels = _contracted(x, labels, y, others, later)
    x, labels = _summed(x, labels, set(result))
    return _as_tensor(_permuted(x, labels, result))


Label = str | int


def _as_equation(items: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    def word(places: Sequence[Any]) -> str:
        return "".join("..." if p is Ellipsis else (_LETTERS[p] if 0 <= p < 52 else "?") for p in places)

    operands = items[0::2] if len(items) % 2 == 0 else items[0:-1:2]
    equation = ",".join(word(places) for places in items[1::2])
    return (equation if len(items) % 2 == 0 else f"{equation}->{word(items[-1])}"), operands


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[Label]], list[Label]]:
    """Return the labels of the dimensions of each operand and of the output; "..." becomes -1 for the last, -2, ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    if len(words) != len(operands):
        fewer = "fewer" if len(operands) < len(words) else "more"
        raise RuntimeError(
            f"einsum(): {fewer} operands were provided than specified in the equation: {len(operands)} for {equation!r}"
        )
    names: list[list[Label]] = []
    widest = 0
    for word, x in zip(words, operands, strict=True):
        before, dots, after = word.partition("...")
        rest = x.array.ndim - len(before) - len(after)
        if strange := [c for c in before + after if c not in _LETTERS]:
            raise RuntimeError(f"einsum(): invalid subscript given: {strange[0]!r}, subscripts must be in [a-zA-Z]")
        if rest < 0 or (rest and not dots):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) "
                f"{'is more than' if dots else 'does not match'} the number of dimensions ({x.array.ndim}) for operand "
                f"{len(names)}{'' if dots else ' and no ellipsis was given'}, in {equation!r}"
            )
        widest = max(widest, rest)
        names.append([*before, *range(-rest, 0), *after])
    ellipsis: list[Label] = list(range(-widest, 0))
    if arrow:
        before, dots, after = right.partition("...")
        result: list[Label] = [*before, *(ellipsis if dots else []), *after]
        known = {n for labels in names for n in labels}
        letters = [n for n in result if isinstance(n, str)]
        for name in letters:
            if letters.count(name) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {name} appears more than once in the output: {equation!r}"
                )
            if name not in known:
                raise RuntimeError(
                    f"einsum(): output subscript {name} does not appear in the equation for any input operand: {equation!r}"
                )
        return names, result
    every = [n for labels in names for n in labels if isinstance(n, str)]
    return names, [*ellipsis, *sorted(n for n in set(every) if every.count(n) == 1)]


def _diagonal(x: Any, names: list[Label]) -> tuple[Any, list[Label]]:
    """Return x with one dimension a label: the diagonal of those that have the same."""
    labels = list(names)
    for name in dict.fromkeys(names):
        while labels.count(name) > 1:
            i = labels.index(name)
            j = labels.index(name, i + 1)
            sizes = x.shape[i], x.shape[j]
            if sizes[0] != sizes[1]:
                raise RuntimeError(f"einsum(): subscript {name} is repeated for sizes {sizes[0]} and {sizes[1]}")
            rest = [d for d in range(len(labels)) if d not in (i, j)]
            places = np.arange(sizes[0])
            x = indexing.getitem(movement.permute(x, dims=(i, j, *rest)), index=(places, places))
            labels = [name, *(labels[d] for d in rest)]
    return x, labels


def _summed(x: Any, labels: list[Label], keep: set[Label]) -> tuple[Any, list[Label]]:
    gone = tuple(d for d, name in enumerate(labels) if name not in keep)
    if gone:
        x = reductions.sum_(x, dim=gone, keepdim=False)
    return x, [name for name in labels if name in keep]


def _permuted(x: Any, labels: Sequence[Label], wanted: Sequence[Label]) -> Any:
    if list(labels) == list(wanted):
        return x
    missing = [name for name in wanted if name not in labels]
    if missing:
        raise RuntimeError(f"einsum(): no operand has the dimensions {missing} of the output")
    return movement.permute(x, dims=tuple(labels.index(name) for name in wanted))


def _contracted(
    a: Any, left: Sequence[Label], b: Any, right: Sequence[Label], keep: set[Any]
) -> tuple[Any, list[Label]]:
    """Return the product of a and b summed over the labels that are not kept, and the labels of its dimensions.

    A label that one operand has with size 1 is its partner's alone. Then each operand is summed over what is its own and
    not kept, and the rest is one product of matrices, batched over the labels that both have and that are kept.
    """
    left, right = list(left), list(right)
    sizes = {**dict(zip(left, a.shape, strict=True)), **dict(zip(right, b.shape, strict=True))}
    for name in set(left) & set(right):
        m, n = a.shape[left.index(name)], b.shape[right.index(name)]
        if m == n:
            continue
        if 1 not in (m, n):
            raise RuntimeError(
                f"einsum(): subscript {name} has size {n}, which does not broadcast with previously seen size {m}"
            )
        sizes[name] = n if m == 1 else m
        if m == 1:
            a = movement.squeeze(a, dim=left.index(name))
            left.remove(name)
        else:
            b = movement.squeeze(b, dim=right.index(name))
            right.remove(name)
    a, left = _summed(a, left, keep | set(right))
    b, right = _summed(b, right, keep | set(left))
    batch = [n for n in left if n in right and n in keep]
    inner = [n for n in left if n in right and n not in keep]
    rows, columns = [n for n in left if n not in right], [n for n in right if n not in left]
    a, b = _permuted(a, left, batch + rows + inner), _permuted(b, right, batch + inner + columns)

    def extent(names: list[Label]) -> tuple[int, ...]:
        return tuple(sizes[n] for n in names)

    if not inner:
        a = movement.reshape(a, shape=extent(batch + rows) + (1,) * len(columns))
        b = movement.reshape(b, shape=extent(batch) + (1,) * len(rows) + extent(columns))
        return mul(a, b), batch + rows + columns
    n = math.prod(extent(inner))
    lead = (math.prod(extent(batch)),) if batch else ()
    a = movement.reshape(a, shape=(*lead, math.prod(extent(rows)), n))
    b = movement.reshape(b, shape=(*lead, n, math.prod(extent(columns))))
    product = movement.reshape(matmul(a, b), shape=extent(batch + rows + columns))
    return product, batch + rows + columns
