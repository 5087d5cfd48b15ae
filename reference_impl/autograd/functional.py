"""`torch.autograd.functional`: products with Jacobians and Hessians of functions, and the matrices themselves.

>>> import reference_impl as torch
>>> from reference_impl.autograd.functional import hessian, jacobian
>>> jacobian(lambda x: x * x, torch.tensor([1.0, 2.0]))
tensor([[2., 0.],
        [0., 4.]])
>>> hessian(lambda x, y: x * x * y, (torch.tensor(3.0), torch.tensor(5.0)))
((tensor(10.), tensor(6.)), (tensor(6.), tensor(0.)))

A Jacobian-vector product is the derivative of the vector-Jacobian product v -> vJ, which is linear in v: backward twice is
forward once. With `strict` an output that does not depend on an input is an error, otherwise its derivative is zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reference_impl.engine import grad
from reference_impl.factories import zeros, zeros_like
from reference_impl.functions import reshape, squeeze, stack
from reference_impl.modes import enable_grad, is_grad_enabled, set_grad_enabled
from reference_impl.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Tensor, ...]
OUTPUTS = "outputs of the user-provided function"
STRICT = "This is not allowed in strict mode"


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return the outputs, and v times the Jacobian: one tensor an input.

    Args:
        func: takes the inputs, returns a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        v: one cotangent an output; None for one output of one element.
        create_graph: the results can be differentiated.
        strict: refuse an output that does not depend on an input.

    Raises:
        RuntimeError: `v` has another shape or is missing, or `strict` is violated.
        TypeError: an input or an output is no tensor.
    """
    with enable_grad():
        xs, one = _prepared(inputs, "inputs", "vjp", create_graph)
        ys, single = _outputs(func, xs, "vjp", strict=strict)
        if v is None and (len(ys) != 1 or ys[0].numel() != 1):
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single element."
            )
        cts = None if v is None else _vector(v, ys, single, "vjp", create_graph)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        products = _filled(_grad(ys, xs, cts, create_graph=create_graph), xs, strict, create_graph, "back")
    return _given_back(ys, single, create_graph), _given_back(products, one, create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return the outputs, and the Jacobian times v: one tensor an output.

    Args and errors are those of `vjp`, with one tangent an input as `v`.
    """
    with enable_grad():
        xs, one = _prepared(inputs, "inputs", "jvp", create_graph)
        tangents = _input_vector(v, xs, one, "jvp", create_graph)
        ys, single = _outputs(func, xs, "jvp", strict=strict)
        cts = tuple(zeros_like(y, requires_grad=True) for y in ys)
        pulled = _grad(ys, xs, cts, create_graph=True)
        _check_depends(pulled, "grad_inputs", strict=strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        products = _filled(
            _grad(pulled, cts, tangents, create_graph=create_graph), ys, strict, create_graph, "back_trick"
        )
    return _given_back(ys, single, create_graph), _given_back(products, single, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the Jacobian, of shape output shape + input shape; nested tuples where outputs or inputs are tuples.

    `vectorize` and ``strategy="forward-mode"`` are accepted as far as PyTorch combines them with the other options; the
    Jacobian is computed row by row in any case.

    Raises:
        RuntimeError: `strict` is violated, or combined with `vectorize` or forward mode.
        NotImplementedError: forward mode together with `create_graph` or without `vectorize`.
        TypeError: an input or an output is no tensor.
    """
    _check_strategy(strategy, create_graph=create_graph, strict=strict, vectorize=vectorize)
    with enable_grad():
        xs, one = _prepared(inputs, "inputs", "jacobian", create_graph)
        ys, single = _outputs(func, xs, "jacobian", strict=strict)
        blocks = tuple(_rows(i, y, xs, create_graph=create_graph, strict=strict) for i, y in enumerate(ys))
    rows = tuple(_given_back(block, one, create_graph) for block in blocks)
    return rows[0] if single else rows


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the Hessian of a function with one output of one element: a matrix of blocks where inputs are a tuple.

    Raises:
        RuntimeError: the output is not a single element, or `strict` is violated.
    """
    _check_strategy(outer_jacobian_strategy, create_graph=create_graph, strict=strict, vectorize=vectorize)
    one = isinstance(inputs, Tensor)
    xs, _ = _tuple(inputs, "inputs", "hessian")

    def scalar(*args: Tensor) -> Tensor:
        return squeeze(_single_element(func(*args), "hessian", strict=strict))

    def gradients(*args: Tensor) -> Any:
        found = jacobian(scalar, args, create_graph=True)
        _check_depends(found, "jacobian", strict=strict)
        return found

    found = jacobian(gradients, xs, create_graph=create_graph, strict=strict)
    return found[0][0] if one else found


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return the output, and v times the Hessian of a function with one output of one element.

    Args and errors are those of `vjp`, with one tensor an input as `v`.
    """
    with enable_grad():
        xs, one = _prepared(inputs, "inputs", "vhp", create_graph)
        vector = _input_vector(v, xs, one, "vhp", create_graph)
        y = _single_element(func(*xs), "vhp", strict=strict)
        first = _grad((y,), xs, None, create_graph=True)
        _check_depends(first, "jacobian", strict=strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        products = _filled(_grad(first, xs, vector, create_graph=create_graph), xs, strict, create_graph, "double_back")
    return _given_back((y,), True, create_graph), _given_back(products, one, create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Return the output, and the Hessian times v: as `vhp`, where second derivatives are symmetric, by another way."""
    with enable_grad():
        xs, one = _prepared(inputs, "inputs", "hvp", create_graph)
        vector = _input_vector(v, xs, one, "hvp", create_graph)
        y = _single_element(func(*xs), "hvp", strict=strict)
        first = _grad((y,), xs, None, create_graph=True)
        _check_depends(first, "jacobian", strict=strict)
        cts = tuple(zeros_like(x, requires_grad=True) for x in xs)
        second = _grad(first, xs, cts, create_graph=True)
        _check_depends(second, "hessian", strict=strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        products = _grad(second, cts, vector, create_graph=create_graph)
        filled = _filled(products, xs, strict, create_graph, "double_back_trick")
    return _given_back((y,), True, create_graph), _given_back(filled, one, create_graph)


# -- what goes in


def _tuple(given: Any, what: str, function: str) -> tuple[Tensors, bool]:
    """Return what a user gave as a tuple of tensors, and whether it was one tensor."""
    single = not isinstance(given, tuple)
    items = (given,) if single else given
    for i, item in enumerate(items):
        if not isinstance(item, Tensor):
            which = f"given {what} has" if single else f"value at index {i} has"
            raise TypeError(
                f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but the {which} type "
                f"{type(item)}."
            )
    return items, single


def _prepared(given: Any, what: str, function: str, create_graph: bool, leaves: bool = True) -> tuple[Tensors, bool]:
    """Return new tensors to differentiate by: connected to the user's own if the results are to be, else leaves."""
    items, single = _tuple(given, what, function)
    connected = [create_graph and x.requires_grad for x in items]
    made = [x.view_as(x) if c else x.detach() for x, c in zip(items, connected, strict=True)]
    return tuple(x if c or not leaves else x.requires_grad_() for x, c in zip(made, connected, strict=True)), single


def _vector(v: Any, like: Tensors, single: bool, function: str, create_graph: bool) -> Tensors:
    vectors, _ = _prepared(v, "v", function, create_graph, leaves=False)
    if len(vectors) != len(like):
        if single:
            raise RuntimeError(f"The given v should contain a single Tensor. Got {len(vectors)}.")
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}.")
    for i, (vector, x) in enumerate(zip(vectors, like, strict=True)):
        if vector.shape != x.shape:
            entry = "" if single else f"Entry {i} in "
            raise RuntimeError(f"{entry}v has invalid size: should be {x.shape} but got {vector.shape}.")
    return vectors


def _input_vector(v: Any, xs: Tensors, one: bool, function: str, create_graph: bool) -> Tensors | None:
    if v is not None:
        return _vector(v, xs, one, function, create_graph)
    if len(xs) != 1 or xs[0].numel() != 1:
        raise RuntimeError(
            "The vector v can only be None if the input to the user-provided function is a single Tensor with a single "
            "element."
        )
    return None


def _outputs(func: Callable[..., Any], xs: Tensors, function: str, *, strict: bool) -> tuple[Tensors, bool]:
    ys, single = _tuple(func(*xs), OUTPUTS, function)
    _check_depends(ys, "outputs", strict=strict)
    return ys, single


def _single_element(y: Any, function: str, *, strict: bool) -> Tensor:
    ys, single = _tuple(y, OUTPUTS, function)
    _check_depends(ys, "outputs", strict=strict)
    if not single:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if ys[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {function} should contain a single element")
    return ys[0]


def _check_strategy(strategy: str, *, create_graph: bool, strict: bool, vectorize: bool) -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(f'Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}')
    function = "torch.autograd.functional.jacobian"
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                f'{function}: `create_graph=True` and `strategy="forward-mode"` are not supported together (yet).'
            )
        if strict:
            raise RuntimeError(
                f'{function}: `strict=True` and `strategy="forward-mode"` are not supported together (yet).'
            )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only implemented for "
                "`vectorize=True`."
            )
    if strict and vectorize:
        raise RuntimeError(
            f"{function}: `strict=True` and `vectorized=True` are not supported together. Please set `strict=False` or "
            "`vectorize=False`."
        )


# -- the work


def _grad(
    ys: Sequence[Tensor | None],
    xs: Tensors,
    cts: Sequence[Any] | None,
    *,
    create_graph: bool,
    retain: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """Return gradients of those outputs that have any; None where there is none."""
    useful = [i for i, y in enumerate(ys) if y is not None and y.requires_grad]
    if not useful:
        return (None,) * len(xs)
    roots: list[Any] = [ys[i] for i in useful]
    given = None if cts is None else [cts[i] for i in useful]
    found: tuple[Tensor | None, ...] = grad(
        roots, xs, given, retain_graph=retain, create_graph=create_graph, allow_unused=True
    )
    return found


def _rows(i: int, y: Tensor, xs: Tensors, *, create_graph: bool, strict: bool) -> Tensors:
    """Return the derivatives of output `i` by each input, one row an element of the output."""
    flat = reshape(y, -1)
    rows: list[list[Tensor]] = [[] for _ in xs]
    for j in range(y.numel()):
        parts = _grad((flat[j],), xs, None, create_graph=create_graph, retain=True)
        for k, (part, x) in enumerate(zip(parts, xs, strict=True)):
            if part is None and strict:
                raise RuntimeError(f"Output {i} of the user-provided function is independent of input {k}. {STRICT}.")
            if part is not None and strict and create_graph and not part.requires_grad:
                raise RuntimeError(
                    f"The jacobian of the user-provided function is independent of input {i}. {STRICT} when "
                    "create_graph=True."
                )
            rows[k].append(zeros_like(x) if part is None else part)
    return tuple(
        reshape(stack(found, 0), (*y.shape, *x.shape)) if found else zeros((*y.shape, *x.shape), dtype=x.dtype)
        for found, x in zip(rows, xs, strict=True)
    )


_MISSING = {
    "back": "The output of the user-provided function is independent of input {i}. {STRICT}.",
    "back_trick": (
        "The gradient with respect to the input is independent of entry {i} in the grad_outputs when using the "
        "double-backward trick to compute forward mode gradients. {STRICT}."
    ),
    "double_back": "The jacobian of the user-provided function is independent of input {i}. {STRICT}.",
    "double_back_trick": (
        "The hessian of the user-provided function is independent of entry {i} in the grad_jacobian. {STRICT} as it prevents "
        "from using the double backward trick to replace forward mode AD."
    ),
}


def _filled(parts: tuple[Tensor | None, ...], like: Tensors, strict: bool, create_graph: bool, stage: str) -> Tensors:
    """Return the gradients with zeros for None; refuse both None and constants if `strict`."""
    found: list[Tensor] = []
    for i, (part, x) in enumerate(zip(parts, like, strict=True)):
        if part is None and strict:
            raise RuntimeError(_MISSING[stage].format(i=i, STRICT=STRICT))
        if part is not None and strict and create_graph and not part.requires_grad:
            what = "hessian" if "double" in stage else "jacobian"
            raise RuntimeError(
                f"The {what} of the user-provided function is independent of input {i}. {STRICT} when create_graph=True."
            )
        found.append(zeros_like(x) if part is None else part)
    return tuple(found)


_CONSTANT = {
    "outputs": (
        "Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
        "differentiable manner from the input when running in strict mode."
    ),
    "grad_inputs": (
        "The gradient with respect to input {i} is independent of the inputs of the user-provided function. {STRICT}."
    ),
    "jacobian": (
        "While computing the hessian, found that the jacobian of the user-provided function with respect to input {i} is "
        "independent of the input. {STRICT}. You should ensure that your function is twice differentiable and that the "
        "jacobian depends on the inputs (this would be violated by a linear function for example)."
    ),
    "hessian": (
        "The hessian of the user-provided function with respect to input {i} is independent of the input. {STRICT}. You "
        "should ensure that your function is thrice differentiable and that the hessian depends on the inputs."
    ),
}


def _check_depends(found: Sequence[Tensor | None], what: str, *, strict: bool) -> None:
    """Refuse tensors that do not depend on the inputs, if `strict`."""
    for i, x in enumerate(found if strict else ()):
        if x is None:
            raise RuntimeError(_MISSING["back"].format(i=i, STRICT=STRICT))
        if not x.requires_grad:
            raise RuntimeError(_CONSTANT[what].format(i=i, STRICT=STRICT))


def _given_back(found: Tensors, single: bool, create_graph: bool) -> Any:
    results = found if create_graph else tuple(x.detach() for x in found)
    return results[0] if single else results
