"""`torch.func`: functions that take a function and return one that computes its derivatives. Nothing is stored anywhere.

>>> import reference_impl as torch
>>> from reference_impl.func import grad, hessian
>>> cube = lambda x: x * x * x
>>> grad(grad(cube))(torch.tensor(2.0))
tensor(12.)
>>> hessian(lambda x: (x * x).sum())(torch.tensor([1.0, 2.0]))
tensor([[2., 0.],
        [0., 2.]])

Arguments and results may be tensors in nested tuples, lists and dicts. Forward mode is backward twice: the derivative of
v -> vJ, which is linear in v.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from reference_impl import engine
from reference_impl.factories import zeros, zeros_like
from reference_impl.functions import reshape, stack
from reference_impl.modes import enable_grad, is_grad_enabled
from reference_impl.tensor import Node, Tensor, target_of
from reference_impl.uncovered import teller_of

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Argnums = int | tuple[int, ...]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return the function that computes the gradient of `func`, whose output is a 0-d tensor.

    Args:
        func: what to differentiate.
        argnums: the positional arguments by which; a tuple gives a tuple of gradients.
        has_aux: `func` returns (output, anything); the result is then (gradient, anything).
    """
    both = grad_and_value(func, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return the function that computes (gradient, value) of `func`, with `has_aux` (gradient, (value, anything)).

    The function raises a RuntimeError if the output is not a 0-d tensor or there is no such argument.
    """

    def gradient_and_value(*args: Any, **kwargs: Any) -> Any:
        with _Level() as level:
            args, wanted = level.opened(args, argnums)
            y, aux = _with_aux(func(*args, **kwargs), has_aux, "grad_and_value(f)(*args)")
            if not isinstance(y, Tensor):
                raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(y)}")
            if y.ndim:
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with {y.ndim} dims. "
                    "Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            found = _pulled_back([y], leaves(wanted), [None])
            gradient = rebuilt(wanted, iter(level.closed(found)))
            value = level.closed([y])[0]
            return gradient, (value, level.closed_tree(aux)) if has_aux else value

    return gradient_and_value


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return func(*primals) and a function of its cotangents, which may be called again; with `has_aux` also the rest.

    Raises:
        RuntimeError: an output is no tensor, or (from the function) the cotangents have another structure or shape.
    """
    with _Level() as level:
        args, _ = level.opened(primals, tuple(range(len(primals))))
        ys, aux = _with_aux(func(*args), has_aux, "vjp(f, *primals)")
        _check_tensors(ys, "vjp(f, *primals): expected f(*primals) to return only tensors")

    def pull_back(cotangents: Any) -> Any:
        if structure(cotangents) != structure(ys):
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. "
                f"cotangents: {structure(cotangents)}, primal output: {structure(ys)}"
            )
        with level:
            found = level.closed(_pulled_back(leaves(ys), leaves(args), leaves(cotangents)))
        results = rebuilt(args, iter(found))
        return results

    values = level.closed_tree(ys)
    return (values, pull_back, level.closed_tree(aux)) if has_aux else (values, pull_back)


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """Return func(*primals) and its derivative along the tangents; with `has_aux` also the rest.

    Raises:
        RuntimeError: primals are no tuple, or the tangents have another structure or shape.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    if not leaves(primals):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to contain at least one Tensor.")
    if structure(primals) != structure(tangents):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python structure. Got primals with "
            f"structure {structure(primals)} and tangents with structure {structure(tangents)}"
        )
    for x, t in zip(leaves(primals), leaves(tangents), strict=True):
        if x.shape != t.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
                f"supported. Tensor is of size {list(x.shape)} while the given forward gradient is of size {list(t.shape)}."
            )
    with _Level() as level:
        args, _ = level.opened(primals, tuple(range(len(primals))))
        ys, aux = _with_aux(func(*args), has_aux, "jvp(f, primals, tangents)")
        _check_tensors(ys, "jvp(f, primals, tangents): Expected f(*primals) to return only tensors")
        forward = level.closed(_pushed_forward(leaves(ys), leaves(args), leaves(tangents), level))
    values, products = level.closed_tree(ys), rebuilt(ys, iter(forward))
    return (values, products, level.closed_tree(aux)) if has_aux else (values, products)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return func(*primals) and the linear function of tangents that is its derivative there."""
    y, _ = jvp(func, primals, rebuilt(primals, iter([zeros_like(x) for x in leaves(primals)])))
    return y, lambda *tangents: jvp(func, primals, tangents)[1]


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """Return the function that computes the Jacobian, of shape output shape + argument shape, by rows.

    `chunk_size` is how many rows PyTorch computes at once; here it is always one.

    Raises:
        ValueError: `chunk_size` is not positive.
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"jacrev: `chunk_size` should be greater than 0, got {chunk_size}")

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        def of_some(*some: Any) -> Any:
            return func(*_replaced(args, argnums, some), **kwargs)

        some = _selected(args, argnums)
        y, pull_back, *aux = vjp(of_some, *some, has_aux=has_aux)
        blocks = []
        for k, out in enumerate(leaves(y)):
            rows = []
            for j in range(out.numel()):
                cts = [zeros_like(z) for z in leaves(y)]
                reshape(cts[k], -1)[j] = 1
                rows.append(leaves(pull_back(rebuilt(y, iter(cts)))))
            parts = [
                reshape(stack([row[i] for row in rows], 0), (*out.shape, *x.shape)) if rows else _nothing(out, x)
                for i, x in enumerate(leaves(some))
            ]
            blocks.append(_one(rebuilt(some, iter(parts)), argnums))
        found = rebuilt(y, iter(blocks))
        return (found, aux[0]) if has_aux else found

    return jacobian


def jacfwd(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, randomness: str = "error") -> Any:
    """Return the function that computes the Jacobian, of shape output shape + argument shape, by columns."""

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        def of_some(*some: Any) -> Any:
            return func(*_replaced(args, argnums, some), **kwargs)

        some = _selected(args, argnums)
        inputs = leaves(some)
        y, _, *aux = jvp(of_some, some, rebuilt(some, iter([zeros_like(x) for x in inputs])), has_aux=has_aux)
        columns: list[list[list[Tensor]]] = [[[] for _ in inputs] for _ in leaves(y)]
        for i, x in enumerate(inputs):
            for j in range(x.numel()):
                tangents = [zeros_like(z) for z in inputs]
                reshape(tangents[i], -1)[j] = 1
                products = jvp(of_some, some, rebuilt(some, iter(tangents)), has_aux=has_aux)[1]
                for k, product in enumerate(leaves(products)):
                    columns[k][i].append(product)
        blocks = []
        for k, out in enumerate(leaves(y)):
            parts = [
                reshape(stack(columns[k][i], -1), (*out.shape, *x.shape)) if x.numel() else _nothing(out, x)
                for i, x in enumerate(inputs)
            ]
            blocks.append(_one(rebuilt(some, iter(parts)), argnums))
        found = rebuilt(y, iter(blocks))
        return (found, aux[0]) if has_aux else found

    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function that computes the second derivatives: the Jacobian of the Jacobian."""
    found: Callable[..., Any] = jacfwd(jacrev(func, argnums), argnums)
    return found


# -- one level of differentiation


class _Level:
    """The tensors that one transformation differentiates by. Levels nest: an inner one stays connected to the outer."""

    def __init__(self) -> None:
        self._records = is_grad_enabled()
        self._mine: set[int] = set()  # ids of the leaves that this level made
        self._kept: list[Tensor] = []  # so that the ids stay theirs
        self._modes: list[Any] = []

    def __enter__(self) -> _Level:
        self._modes.append(enable_grad())
        self._modes[-1].__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.pop().__exit__(*error)

    def opened(self, args: tuple[Any, ...], argnums: Argnums) -> tuple[tuple[Any, ...], Any]:
        """Return the arguments with new tensors in the chosen places, and what stands there."""
        chosen = rebuilt(_selected(args, argnums), iter([self._fresh(x) for x in leaves(_selected(args, argnums))]))
        return _replaced(args, argnums, chosen), _one(chosen, argnums)

    def _fresh(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        if x.requires_grad:
            made: Tensor = x.view_as(x)
            return made
        made = x.detach().requires_grad_()
        self._mine.add(id(made))
        self._kept.append(made)
        return made

    def closed(self, results: list[Tensor]) -> list[Tensor]:
        """Return results as the outside may see them: connected only if they depend on more than this level's leaves."""
        return [y if self._records and self._depends_on_others(y) else y.detach() for y in results]

    def closed_tree(self, tree: Any) -> Any:
        """Do the same in a tree, leaving alone what is no tensor."""
        return rebuilt(tree, iter([self.closed([y])[0] if isinstance(y, Tensor) else y for y in leaves(tree)]))

    def _depends_on_others(self, y: Tensor) -> bool:
        if not y.requires_grad:
            return False
        ends: list[Any] = [target_of(y)]
        seen = set()
        while ends:
            end = ends.pop()
            if end is None or id(end) in seen:
                continue
            seen.add(id(end))
            if isinstance(end, Node):
                ends.extend(end.edges)
            elif id(end) not in self._mine:
                return True
        return False


def _pulled_back(ys: list[Any], xs: list[Any], cts: list[Any]) -> list[Tensor]:
    useful = [(y, ct) for y, ct in zip(ys, cts, strict=True) if y.requires_grad]
    for i, (y, ct) in enumerate(zip(ys, cts, strict=True)):
        if ct is not None and ct.shape != y.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {ct.shape} and output[{i}] has a shape of {y.shape}."
            )
    if not useful:
        return [zeros_like(x) for x in xs]
    roots, given = [y for y, _ in useful], [ct for _, ct in useful]
    found = engine.grad(roots, xs, given, create_graph=True, materialize_grads=True)
    return [g for g in found if g is not None]


def _pushed_forward(ys: list[Any], xs: list[Any], tangents: list[Any], level: _Level) -> list[Tensor]:
    cts = [level._fresh(zeros_like(y)) for y in ys]
    pulled = _pulled_back(ys, xs, cts)
    useful = [(p, t) for p, t in zip(pulled, tangents, strict=True) if p.requires_grad]
    if not useful:
        return [zeros_like(y) for y in ys]
    found = engine.grad([p for p, _ in useful], cts, [t for _, t in useful], create_graph=True, materialize_grads=True)
    return [g for g in found if g is not None]


def _with_aux(result: Any, has_aux: bool, who: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"{who}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def _check_tensors(tree: Any, message: str) -> None:
    for y in leaves(tree):
        if not isinstance(y, Tensor):
            raise RuntimeError(f"{message}, got unsupported type {type(y)}")


def _nothing(y: Tensor, x: Tensor) -> Tensor:
    return zeros((*y.shape, *x.shape), dtype=y.dtype)


# -- arguments by number


def _places(args: tuple[Any, ...], argnums: Argnums) -> list[int]:
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if len(set(numbers)) != len(numbers):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
    return [n % len(args) for n in numbers]


def _selected(args: tuple[Any, ...], argnums: Argnums) -> tuple[Any, ...]:
    return tuple(args[n] for n in _places(args, argnums))


def _replaced(args: tuple[Any, ...], argnums: Argnums, values: tuple[Any, ...]) -> tuple[Any, ...]:
    by_place = dict(zip(_places(args, argnums), values, strict=True))
    return tuple(by_place.get(i, a) for i, a in enumerate(args))


def _one(selected: tuple[Any, ...], argnums: Argnums) -> Any:
    return selected[0] if isinstance(argnums, int) else selected


# -- trees: nested tuples, lists and dicts


def leaves(tree: Any) -> list[Any]:
    """Return what stands in a nest of tuples, lists and dicts, in order."""
    if isinstance(tree, dict):
        return [x for branch in tree.values() for x in leaves(branch)]
    if isinstance(tree, (tuple, list)):
        return [x for branch in tree for x in leaves(branch)]
    return [] if tree is None else [tree]


def rebuilt(tree: Any, values: Iterator[Any]) -> Any:
    """Return a nest of the same shape with other leaves."""
    if isinstance(tree, dict):
        return {k: rebuilt(branch, values) for k, branch in tree.items()}
    if isinstance(tree, (tuple, list)):
        branches = [rebuilt(branch, values) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return None if tree is None else next(values)


def structure(tree: Any) -> str:
    """Return the shape of a nest in words, with a star for each leaf."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k!r}: {structure(branch)}" for k, branch in tree.items()) + "}"
    if isinstance(tree, (tuple, list)):
        inner = ", ".join(structure(branch) for branch in tree)
        return f"[{inner}]" if isinstance(tree, list) else f"({inner},)" if len(tree) == 1 else f"({inner})"
    return "None" if tree is None else "*"


__getattr__ = teller_of(__name__)
