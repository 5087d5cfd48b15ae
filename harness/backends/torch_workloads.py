"""PyTorch as an engine for workloads, on the CPU: eager, with the transformations of `torch.func`, or compiled."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from harness.backends.torch_eager import OPS
from harness.workload_adapters import Engine, Thunk, function_of, tape_engine
from harness.workloads import Array, Input, Workload

__all__ = ["load_torch"]


def load_torch(mode: str, *, threads: int) -> Engine:
    """The engine in mode "eager", "func" or "compile"; for the rest of the process PyTorch uses that many threads.

    Raises:
        ImportError: compiled code needs a C++ compiler, and there is none.
    """
    torch.set_num_threads(threads)
    version = str(torch.__version__)
    if mode == "eager":
        questions = {"jvp": _jvp, "columns": _jacobian_by_columns}
        return tape_engine("torch", torch, version=version, module="torch", ops=OPS, questions=questions)
    if mode == "compile":
        _check_compiler()

    def prepare(workload: Workload, inputs: Sequence[Input], what: str, direction: Array) -> Thunk:
        return _prepare(workload, inputs, what, direction, compiled=mode == "compile")

    def to_arrays(results: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(r.detach().numpy()) for r in results)

    return Engine(f"torch-{mode}", "torch", mode, version, "torch", prepare, to_arrays)


def _check_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler  # the only way to ask without compiling

    try:
        get_cpp_compiler()
    except Exception as error:  # it raises an exception of its own
        raise ImportError(f"torch.compile finds no C++ compiler: {error}") from error


# Eager, forward mode


@functools.cache
def _load_forward_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what forward mode loads at its first call uses what PyTorch itself deprecates
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def _jvp(f: Callable[..., Any], leaves: Sequence[Any], tangent: Any, T: Any) -> tuple[Any, ...]:
    (x,) = leaves
    _load_forward_mode()
    with torch.no_grad():
        return _pushed(f, x.detach(), tangent)


def _pushed(f: Callable[..., Any], x: Any, tangent: Any) -> tuple[Any, Any]:
    dual: Any = torch.autograd.forward_ad
    with dual.dual_level():
        y, pushed = dual.unpack_dual(f(dual.make_dual(x, tangent)))
        return y, pushed


def _jacobian_by_columns(f: Callable[..., Any], leaves: Sequence[Any], seeds: Any, T: Any) -> tuple[Any, ...]:
    (x,) = leaves
    _load_forward_mode()
    with torch.no_grad():
        return (torch.stack([_pushed(f, x.detach(), seed)[1] for seed in seeds]),)


# torch.func and torch.compile


def _prepare(workload: Workload, inputs: Sequence[Input], what: str, direction: Array, *, compiled: bool) -> Thunk:
    func: Any = torch.func
    _load_forward_mode()
    args = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in inputs]
    ct = torch.tensor(direction)
    function = function_of(workload, OPS, inputs)
    wrt = workload.wrt

    def of_leaves(*leaves: Any) -> Any:
        moved = list(args)
        for i, leaf in zip(wrt, leaves, strict=True):
            moved[i] = leaf
        return function(torch, *moved)

    leaves = [args[i] for i in wrt]
    if what == "script":
        raise ValueError("torch.func has no tape to script")
    if compiled and what in ("value", "gradient", "vjp"):
        return _compiled_plain(of_leaves, leaves, what, ct)
    run = _TRANSFORMED[_key(workload, what)](func, of_leaves)
    if compiled:
        run = torch.compile(run, dynamic=False)
    return lambda: _quietly(run, leaves, ct)


def _quietly(run: Callable[..., Any], leaves: Sequence[Any], ct: Any) -> tuple[Any, ...]:
    return tuple(run(leaves, ct))


def _compiled_plain(f: Callable[..., Any], leaves: list[Any], what: str, ct: Any) -> Thunk:
    torch._dynamo.reset()  # a first call has to compile
    run: Any = torch.compile(f, dynamic=False)
    if what == "value":
        return lambda: (run(*leaves),)
    marked = [leaf.requires_grad_() for leaf in leaves]
    given = ct if what == "vjp" else None

    def both() -> tuple[Any, ...]:
        y = run(*marked)
        return (y, *torch.autograd.grad(y, marked, given))

    return both


def _key(workload: Workload, what: str) -> str:
    if what == "jacobian" and workload.seeds is not None and workload.seeds.forward:
        return "columns"
    return what


def _value(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda leaves, ct: (f(*leaves),)


def _gradient(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    def both(leaves: Sequence[Any], ct: Any) -> tuple[Any, ...]:
        grads, y = func.grad_and_value(f, argnums=tuple(range(len(leaves))))(*leaves)
        return (y, *grads)

    return both


def _vjp(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    def both(leaves: Sequence[Any], ct: Any) -> tuple[Any, ...]:
        y, pull_back = func.vjp(f, *leaves)
        return (y, *pull_back(ct))

    return both


def _push(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda leaves, tangent: func.jvp(f, tuple(leaves), (tangent,))


def _hvp(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    # Forward over reverse, as the documentation of torch.func advises.
    return lambda leaves, way: (func.jvp(func.grad(f), tuple(leaves), (way,))[1],)


def _jacobian(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    def rows(leaves: Sequence[Any], seeds: Any) -> tuple[Any, ...]:
        _, pull_back = func.vjp(f, *leaves)
        return tuple(func.vmap(pull_back)(seeds))

    return rows


def _columns(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    def columns(leaves: Sequence[Any], seeds: Any) -> tuple[Any, ...]:
        return (func.vmap(lambda seed: func.jvp(f, tuple(leaves), (seed,))[1])(seeds),)

    return columns


def _hessian(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda leaves, _: (func.hessian(f)(*leaves),)


def _diagonal(func: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda leaves, _: func.jvp(func.grad(f), tuple(leaves), (torch.ones_like(leaves[0]),))


_TRANSFORMED: dict[str, Callable[..., Callable[..., Any]]] = {
    "value": _value,
    "gradient": _gradient,
    "vjp": _vjp,
    "jvp": _push,
    "hvp": _hvp,
    "jacobian": _jacobian,
    "columns": _columns,
    "hessian": _hessian,
    "diagonal": _diagonal,
}
