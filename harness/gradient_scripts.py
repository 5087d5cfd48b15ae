"""A wrong gradient as a stand-alone script: the user's function, a point, and the gradient that is proved.

The function comes along as its source, or as an import where it lives in a module that can be imported.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.cases import Array

__all__ = ["jax_script", "torch_script"]


class _Word:
    """Something that is printed as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def torch_script(
    fn: Any,
    leaves: Sequence[Any],
    rebuild: Callable[[list[Any]], Any],
    arrays: Sequence[Array],
    wanted: Sequence[bool],
    cotangents: Sequence[Array | None],
    truth: Sequence[tuple[Array, Array] | None],
    note: str,
    arguments: int,
) -> str:
    """Write the script for PyTorch.

    Args:
        fn: the function.
        leaves: its arguments, flattened; `rebuild` makes (args, kwargs) of such a list.
        arrays: the point; the first `arguments` stand for the leaves that are tensors, parameters follow.
        wanted: of which the gradient is asked.
        cotangents: one an output, None for one that takes no part.
        truth: for each wanted array its gradient and how far off a right one may be, or None.
        note: what is wrong, in words.
        arguments: how many arrays are arguments.
    """
    lines = [f"# {line}" for line in textwrap.wrap(note, 110)]
    lines += ["from __future__ import annotations", "", "import torch", ""]
    source, name = _source(fn)
    lines += [source, ""]
    given = iter(range(arguments))
    tensor = _tensor_type(leaves, arguments)
    words = [_Word(f"x{next(given)}") if isinstance(v, tensor) else v for v in leaves]
    args, kwargs = rebuild(words)
    for i, (x, w) in enumerate(zip(arrays[:arguments], wanted, strict=False)):
        one = next((k for k, y in enumerate(arrays[:i]) if y is x and wanted[k] and w), None)
        lines.append(
            f"x{i} = " + (_torch_literal(x, requires_grad=w) if one is None else f"x{one}.detach().requires_grad_()")
        )
    call = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])
    lines += [f"returned = {name}({call})", "outputs = [y for y in torch.utils._pytree.tree_leaves(returned)]"]
    picked = [k for k, c in enumerate(cotangents) if c is not None]
    for k in picked:
        lines.append(f"ct{k} = {_torch_literal(np.asarray(cotangents[k]))}")
    asked = [f"x{i}" for i in range(arguments) if wanted[i]]
    lines.append(
        f"grads = torch.autograd.grad([{', '.join(f'outputs[{k}]' for k in picked)}], [{', '.join(asked)}], "
        f"[{', '.join(f'ct{k}' for k in picked)}], allow_unused=True)"
    )
    return "\n".join([*lines, *_compared(asked, truth)]) + "\n"


def jax_script(
    fn: Any,
    leaves: Sequence[Any],
    rebuild: Callable[[list[Any]], Any],
    arrays: Sequence[Array],
    wanted: Sequence[bool],
    cotangents: Sequence[Array | None],
    truth: Sequence[tuple[Array, Array] | None],
    note: str,
    places: Sequence[int],
) -> str:
    """Write the script for JAX; `places` are the leaves that the arrays stand for."""
    lines = [f"# {line}" for line in textwrap.wrap(note, 110)]
    lines += [
        "from __future__ import annotations",
        "",
        "import jax",
        "import jax.numpy as jnp",
        "",
        'jax.config.update("jax_enable_x64", True)',
    ]
    source, name = _source(fn)
    lines += [source, ""]
    words: list[Any] = list(leaves)
    for i, place in enumerate(places):
        words[place] = _Word(f"x{i}")
    args, kwargs = rebuild(words)
    for i, x in enumerate(arrays):
        lines.append(f"x{i} = jnp.array({x.tolist()!r}, dtype=jnp.{x.dtype.name})")
    asked = [f"x{i}" for i, w in enumerate(wanted) if w]
    call = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])
    picked = [k for k, c in enumerate(cotangents) if c is not None]
    lines += [
        f"def forward({', '.join(asked)}):",
        f"    outputs = jax.tree_util.tree_leaves({name}({call}))",
        f"    return [outputs[k] for k in {picked}]",
        f"outputs, pull_back = jax.vjp(forward, {', '.join(asked)})",
    ]
    cts = [f"jnp.array({np.asarray(cotangents[k]).tolist()!r}, dtype=outputs[{j}].dtype)" for j, k in enumerate(picked)]
    lines.append(f"grads = pull_back([{', '.join(cts)}])")
    return "\n".join([*lines, *_compared(asked, truth)]) + "\n"


def _compared(asked: Sequence[str], truth: Sequence[tuple[Array, Array] | None]) -> list[str]:
    pairs = {
        n: (p[0].ravel().tolist(), p[1].ravel().tolist()) for n, p in zip(asked, truth, strict=False) if p is not None
    }
    lines = [
        f"for name, grad in zip({list(asked)!r}, grads):",
        '    print("gradient of", name, "=", None if grad is None else grad.tolist())',
    ]
    if not pairs:
        return lines
    return [
        *lines,
        "",
        "inf, nan = float('inf'), float('nan')",
        f"true = {pairs!r}  # proved: (gradient, how far a right one may lie from it)",
        "wrong = []",
        f"for name, grad in zip({list(asked)!r}, grads):",
        "    values, rooms = true.get(name, ([], []))",
        "    got = [0.0] * len(values) if grad is None else grad.reshape(-1).tolist()",
        "    for k, (g, t, r) in enumerate(zip(got, values, rooms)):",
        "        if not abs(g - t) <= 2 * r:",
        '            wrong.append(f"gradient of {name}, element {k}: {g!r}, true {t!r}")',
        'raise SystemExit("\\n".join(wrong) or None)',
    ]


def _tensor_type(leaves: Sequence[Any], arguments: int) -> Any:
    """The class of tensors, taken from the leaves so that no framework is imported here."""
    for v in leaves:
        for t in type(v).__mro__:
            if t.__module__.partition(".")[0] == "torch" and t.__name__ == "Tensor":
                return t
    return ()


def _torch_literal(x: Array, *, requires_grad: bool = False) -> str:
    flag = ", requires_grad=True" if requires_grad else ""
    dtype = f"dtype=torch.{x.dtype.name}"
    if x.size == 0:
        return f"torch.zeros({x.shape!r}, {dtype}{flag})"
    if x.flags.c_contiguous:
        return f"torch.tensor({x.tolist()!r}, {dtype}{flag})"
    strides = tuple(s // x.itemsize for s in x.strides)
    if any(s < 0 for s in strides):
        return f"torch.tensor({x.tolist()!r}, {dtype}{flag})"
    extent = 1 + sum((n - 1) * s for n, s in zip(x.shape, strides, strict=True))
    memory = np.lib.stride_tricks.as_strided(x, (extent,), (x.itemsize,), writeable=False)
    tail = ".requires_grad_()" if requires_grad else ""
    return f"torch.tensor({memory.tolist()!r}, {dtype}).as_strided({x.shape!r}, {strides!r}){tail}"


def _source(fn: Any) -> tuple[str, str]:
    """How a script gets at the function: lines that define or import it, and the expression that is called."""
    owner = getattr(fn, "__self__", None)
    subject, suffix = (owner, f".{fn.__name__}") if isinstance(owner, type) else (fn, "")
    subject = getattr(subject, "func", subject) if not isinstance(subject, type) else subject
    wrapped = getattr(subject, "__wrapped__", subject) if not isinstance(subject, type) else subject
    name = str(getattr(subject, "__name__", None) or getattr(wrapped, "__name__", ""))
    module = getattr(subject, "__module__", None) or "__main__"
    qualified = str(getattr(wrapped, "__qualname__", name))
    if name.isidentifier() and "<" not in qualified and module != "__main__" and "." not in qualified:
        return f"from {module} import {name}", name + suffix
    if isinstance(wrapped, types.FunctionType) and name == "<lambda>":
        try:
            return "\n".join(
                [*_definitions(wrapped, {"torch", "jax", "jnp"})[:-1], f"fn = {_lambda_source(wrapped)}"]
            ), "fn"
        except (OSError, TypeError):
            pass
    if not name.isidentifier():
        return f"fn = ...  # {fn!r}: put the function here\n{_as_comment(wrapped)}", "fn"
    try:
        return "\n".join([*_definitions(wrapped, {"torch", "jax", "jnp"}), *_rules(subject, name)]), name + suffix
    except (OSError, TypeError):
        return f"{name} = ...  # {fn!r}: put the function here", name + suffix


def _rules(subject: Any, name: str) -> list[str]:
    """The lines that give a function of JAX its own rules."""
    kind = type(subject).__name__
    parts = {"custom_vjp": ("fwd", "bwd"), "custom_jvp": ("jvp",)}.get(kind, ())
    rules = [r for r in (getattr(subject, p, None) for p in parts) if isinstance(r, types.FunctionType)]
    if not rules or len(rules) != len(parts):
        return []
    lines: list[str] = []
    spelt = []
    seen = {name}
    for r in rules:
        if r.__name__ == "<lambda>":
            lines += _definitions(r, seen)[:-1]
            spelt.append(_lambda_source(r))
        else:
            lines += [] if r.__name__ in seen else _definitions(r, seen)
            spelt.append(r.__name__)
    return [*lines, f"{name}.def{'jvp' if kind == 'custom_jvp' else 'vjp'}({', '.join(spelt)})"]


def _as_comment(fn: Any) -> str:
    try:
        return textwrap.indent(textwrap.dedent(inspect.getsource(fn)).rstrip(), "# ")
    except (OSError, TypeError):
        return ""


def _definitions(thing: Any, seen: set[str]) -> list[str]:
    """The source of a function or class, after that of what it names in its own module and in its closure."""
    seen.add(thing.__name__)
    before: list[str] = []
    for base in thing.__bases__ if isinstance(thing, type) else ():
        if base.__module__ == thing.__module__ and base.__name__ not in seen:
            before += _definitions(base, seen)
    for name, value in _names(thing).items():
        if name in seen:
            continue
        if isinstance(value, types.ModuleType):
            seen.add(name)
            before.append(f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else ""))
        elif isinstance(value, (bool, int, float, str)):
            seen.add(name)
            before.append(f"{name} = {value!r}")
        elif type(value).__name__ in ("custom_vjp", "custom_jvp") and value.__module__ == thing.__module__:
            before += [*_definitions(value.__wrapped__, seen), *_rules(value, name)]
        elif isinstance(value, types.FunctionType) and value.__name__ == "<lambda>":
            seen.add(name)
            for line in _definitions(value, seen)[:-1]:
                before.append(line)
            before.append(f"{name} = {_lambda_source(value)}")
        elif isinstance(value, (types.FunctionType, type)) and value.__module__ == thing.__module__:
            before += _definitions(value, seen)
            if value.__name__ != name:
                before.append(f"{name} = {value.__name__}")
        elif (
            hasattr(value, "__module__")
            and hasattr(value, "__name__")
            and "<" not in getattr(value, "__qualname__", "")
        ):
            seen.add(name)
            before.append(
                f"from {value.__module__} import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")
            )
    return [*before, textwrap.dedent(inspect.getsource(thing)).rstrip()]


def _lambda_source(function: types.FunctionType) -> str:
    """The expression that makes a lambda: the one in its file, at its line, that compiles to the same code."""
    tree = ast.parse(Path(inspect.getsourcefile(function) or "").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno == function.__code__.co_firstlineno:
            text = ast.unparse(node)
            code = function.__code__
            made = next(
                c for c in compile(text, "", "eval").co_consts if isinstance(c, types.CodeType)
            )  # after defaults
            # What comes from around it is a free name of the one and a global name of the other.
            names = (set(made.co_names), set(code.co_names) | set(code.co_freevars))
            plain = [
                [c for c in consts if not isinstance(c, types.CodeType)] for consts in (made.co_consts, code.co_consts)
            ]
            if names[0] == names[1] and made.co_varnames == code.co_varnames and plain[0] == plain[1]:
                return text
    raise OSError(f"no source of {function!r}")


def _names(thing: Any) -> dict[str, Any]:
    functions = [thing] if isinstance(thing, types.FunctionType) else []
    if isinstance(thing, type):
        for value in vars(thing).values():
            inner = getattr(value, "__func__", value)
            if isinstance(inner, types.FunctionType):
                functions.append(inner)
    found: dict[str, Any] = {}
    for f in functions:
        stack = [f.__code__]
        while stack:
            code = stack.pop()
            stack += [c for c in code.co_consts if isinstance(c, types.CodeType)]
            for n in code.co_names:
                if n in f.__globals__:
                    found[n] = f.__globals__[n]
        for n, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                found[n] = cell.cell_contents
            except ValueError:
                continue
    return found
