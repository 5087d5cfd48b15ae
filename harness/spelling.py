"""How frameworks spell an op, as one line of text: what a backend runs and what a script prints are the same line.

In a template ``{0}``, ``{1}`` are the tensors, ``{xs}`` is the list of them all, and a name in braces is a parameter;
``{index:long}`` and ``{mask:bool}`` stand for tensors of integers and of bools made of a nested tuple, ``{indices:longs}``
for a tuple of such. Parameters that a program leaves out have the vocabulary's defaults.

>>> write("roll", TORCH["roll"], ["x"], {"shifts": 1}, tensor="torch.tensor({})")
'torch.roll(x, 1, None)'
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from harness.programs import Param
from harness.vocabulary import OPS
from harness.vocabulary.checks import Required

__all__ = ["JAX", "TORCH", "Template", "spoken", "write"]

Template = str | Callable[[Mapping[str, Any]], str]

_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")


def _of_all_or_along(name: str) -> Template:
    return lambda params: f"{{0}}.{name}()" if params["dim"] is None else f"{{0}}.{name}({{dim}}, {{keepdim}}).values"


_SLICES = "jnp.moveaxis(jnp.moveaxis({0}, {dim}, 0).at[{index:long}].%s, 0, {dim})"

TORCH: Final[Mapping[str, Template]] = {
    "std": "torch.std({0}, {dim}, correction={correction}, keepdim={keepdim})",
    "nansum": "torch.nansum({0}, {dim}, {keepdim})",
    "nanmean": "torch.nanmean({0}, {dim}, {keepdim})",
    "norm": "torch.norm({0}, {p}, {dim}, {keepdim})",
    "dist": "torch.dist({0}, {1}, {p})",
    "trace": "torch.trace({0})",
    **{name: _of_all_or_along(name) for name in ("max", "min", "median")},
    "kthvalue": "torch.kthvalue({0}, {k}, {dim}, {keepdim}).values",
    "topk": "torch.topk({0}, {k}, {dim}, {largest}).values",
    "sort": "torch.sort({0}, dim={dim}, descending={descending}, stable=True).values",
    "msort": "torch.msort({0})",
    "quantile": "torch.quantile({0}, {q}, {dim}, {keepdim})",
    "cumprod": "torch.cumprod({0}, {dim})",
    "cummax": "torch.cummax({0}, {dim}).values",
    "cummin": "torch.cummin({0}, {dim}).values",
    "diagonal": "torch.diagonal({0}, {offset}, {dim1}, {dim2})",
    "diag": "torch.diag({0}, {diagonal})",
    "diag_embed": "torch.diag_embed({0}, {offset}, {dim1}, {dim2})",
    "diagflat": "torch.diagflat({0}, {offset})",
    "unfold": "{0}.unfold({dimension}, {size}, {step})",
    "roll": "torch.roll({0}, {shifts}, {dims})",
    "rot90": "torch.rot90({0}, {k}, {dims})",
    "fliplr": "torch.fliplr({0})",
    "flipud": "torch.flipud({0})",
    "movedim": "torch.movedim({0}, {source}, {destination})",
    "tile": "torch.tile({0}, {dims})",
    "repeat": "{0}.repeat({repeats})",
    "repeat_interleave": "torch.repeat_interleave({0}, {repeats}, dim={dim})",
    "narrow": "torch.narrow({0}, {dim}, {start}, {length})",
    "select": "torch.select({0}, {dim}, {index})",
    "hstack": "torch.hstack({xs})",
    "vstack": "torch.vstack({xs})",
    "dstack": "torch.dstack({xs})",
    "column_stack": "torch.column_stack({xs})",
    "block_diag": "torch.block_diag(*{xs})",
    "unflatten": "torch.unflatten({0}, {dim}, {sizes})",
    "flatten": "torch.flatten({0}, {start_dim}, {end_dim})",
    "ravel": "torch.ravel({0})",
    "broadcast_to": "torch.broadcast_to({0}, {size})",
    "atleast_2d": "torch.atleast_2d({0})",
    "atleast_3d": "torch.atleast_3d({0})",
    "pad": "torch.nn.functional.pad({0}, {pad}, {mode}, {value})",
    "take": "torch.take({0}, {index:long})",
    "take_along_dim": "torch.take_along_dim({0}, {indices:long}, {dim})",
    "masked_fill": "torch.masked_fill({0}, {1}, {value})",
    "masked_select": "torch.masked_select({0}, {mask:bool})",
    "masked_scatter": "torch.masked_scatter({0}, {mask:bool}, {1})",
    "index_add": "torch.index_add({0}, {dim}, {index:long}, {1}, alpha={alpha})",
    "index_copy": "torch.index_copy({0}, {dim}, {index:long}, {1})",
    "index_fill": "torch.index_fill({0}, {dim}, {index:long}, {value})",
    "index_put": "torch.index_put({0}, {indices:longs}, {1}, {accumulate})",
    "put": "torch.Tensor.put({0}, {index:long}, {1}, {accumulate})",
    "scatter": "torch.scatter({0}, {dim}, {index:long}, {1})",
    "scatter_add": "torch.scatter_add({0}, {dim}, {index:long}, {1})",
    "scatter_reduce": "torch.scatter_reduce({0}, {dim}, {index:long}, {1}, {reduce}, include_self={include_self})",
}

JAX: Final[Mapping[str, Template]] = {
    "std": "jnp.std({0}, axis={dim}, ddof={correction}, keepdims={keepdim})",
    "nansum": "jnp.nansum({0}, axis={dim}, keepdims={keepdim})",
    "nanmean": "jnp.nanmean({0}, axis={dim}, keepdims={keepdim})",
    "trace": "jnp.trace({0})",
    "max": "jnp.max({0}, axis={dim}, keepdims={keepdim})",
    "min": "jnp.min({0}, axis={dim}, keepdims={keepdim})",
    # jnp.sort with descending=True turns a rising sort around, and with it the order of equal elements.
    "sort": "(-jnp.sort(-{0}, axis={dim}) if {descending} else jnp.sort({0}, axis={dim}))",
    "msort": "jnp.sort({0}, axis=0)",
    "cumprod": "jnp.cumprod({0}, axis={dim})",
    "cummax": "jax.lax.cummax({0}, axis={dim} % {0}.ndim)",
    "cummin": "jax.lax.cummin({0}, axis={dim} % {0}.ndim)",
    "diagonal": "jnp.diagonal({0}, {offset}, {dim1}, {dim2})",
    "diag": "jnp.diag({0}, {diagonal})",
    "diagflat": "jnp.diagflat({0}, {offset})",
    "roll": "jnp.roll({0}, {shifts}, {dims})",
    "rot90": "jnp.rot90({0}, {k}, {dims})",
    "fliplr": "jnp.fliplr({0})",
    "flipud": "jnp.flipud({0})",
    "movedim": "jnp.moveaxis({0}, {source}, {destination})",
    "tile": "jnp.tile({0}, {dims})",
    "repeat": "jnp.tile({0}, {repeats})",
    "repeat_interleave": "jnp.repeat({0}, {repeats}, axis={dim})",
    "narrow": "jax.lax.slice_in_dim({0}, {start}, {start} + {length}, axis={dim})",
    "select": "jnp.take({0}, {index}, axis={dim})",
    "hstack": "jnp.hstack({xs})",
    "vstack": "jnp.vstack({xs})",
    "dstack": "jnp.dstack({xs})",
    "column_stack": "jnp.column_stack({xs})",
    "block_diag": "jax.scipy.linalg.block_diag(*{xs})",
    "ravel": "jnp.ravel({0})",
    "broadcast_to": "jnp.broadcast_to({0}, {size})",
    "atleast_2d": "jnp.atleast_2d({0})",
    "atleast_3d": "jnp.atleast_3d({0})",
    "take": "jnp.take({0}, {index:long})",
    "take_along_dim": "jnp.take_along_axis({0}, {indices:long}, {dim})",
    "masked_fill": "jnp.where({1}, {value}, {0})",
    "index_add": _SLICES % "add({alpha} * jnp.moveaxis({1}, {dim}, 0))",
    "index_copy": _SLICES % "set(jnp.moveaxis({1}, {dim}, 0))",
    "index_fill": _SLICES % "set({value})",
}


def _chosen(op: str, template: Template, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    defaults = {k: v for k, v in OPS[op].params.items() if not isinstance(v, Required)}
    params = {**defaults, **given}
    return (template if isinstance(template, str) else template(params)), params


def spoken(op: str, template: Template, tensor: Callable[[Any], Any], **names: Any) -> Callable[..., Any]:
    """Return the function of tensors and parameters that a template says.

    Args:
        tensor: makes the framework's tensor of an array of int64 or bool.
        names: what the names of frameworks in the template mean.
    """

    @functools.lru_cache(maxsize=4096)
    def made(nested: Any, dtype: str) -> Any:
        return tensor(np.array(nested, dtype=dtype).reshape(np.shape(nested)))

    known = {**names, "long": lambda v: made(v, "int64"), "bool": lambda v: made(v, "bool")}
    known["longs"] = lambda vs: tuple(made(v, "int64") for v in vs)

    @functools.cache
    def compiled(text: str) -> Callable[..., Any]:
        function: Callable[..., Any] = eval(f"lambda xs, params: {_FIELD.sub(_python, text)}", known)
        return function

    def function(*xs: Any, **given: Any) -> Any:
        text, params = _chosen(op, template, given)
        return compiled(text)(xs, params)

    return function


def _python(field: re.Match[str]) -> str:
    name, kind = field.groups()
    if name == "xs":
        return "list(xs)"
    value = f"xs[{name}]" if name.isdigit() else f"params[{name!r}]"
    return f"{kind}({value})" if kind else value


def write(op: str, template: Template, args: Sequence[str], given: Mapping[str, Param], *, tensor: str) -> str:
    """Return a template as source text.

    Args:
        args: the names of the tensors.
        tensor: how the framework makes a tensor of nested lists, with braces where they stand.
    """
    text, params = _chosen(op, template, given)

    def field(match: re.Match[str]) -> str:
        name, kind = match.groups()
        if name == "xs":
            return f"[{', '.join(args)}]"
        if name.isdigit():
            return args[int(name)]
        value = params[name]
        if kind == "longs":
            return f"({', '.join(tensor.format(_listed(v)) for v in value)},)"
        return tensor.format(_listed(value)) if kind else _plain(value)

    return _FIELD.sub(field, text)


def _plain(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _listed(value: Any) -> str:
    return f"[{', '.join(_listed(v) for v in value)}]" if isinstance(value, tuple) else repr(value)
