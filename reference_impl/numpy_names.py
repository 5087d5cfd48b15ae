"""NumPy's names of arguments, which PyTorch's functions take beside their own: `axis` for `dim`, `keepdims` for `keepdim`.

>>> import reference_impl as torch
>>> torch.arange(4.0).reshape(2, 2).sum(axis=1, keepdims=True)
tensor([[1.],
        [5.]])
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["add_numpy_names"]

_OURS = {"axis": "dim", "keepdims": "keepdim"}


def add_numpy_names(names: Iterable[str], module: dict[str, Any]) -> None:
    """Let those functions of a module that take `dim` or `keepdim` take NumPy's names for them as well."""
    for name in names:
        function = module[name]
        if inspect.isfunction(function) and not _OURS.keys().isdisjoint(aliases := _aliases(function)):
            module[name] = _renaming(function, aliases)


def _aliases(function: Callable[..., Any]) -> dict[str, str]:
    parameters = inspect.signature(function).parameters
    return {alias: ours for alias, ours in _OURS.items() if ours in parameters and alias not in parameters}


def _renaming(function: Callable[..., Any], aliases: dict[str, str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def renamed(*args: Any, **named: Any) -> Any:
        if named:
            for alias, ours in aliases.items():
                if alias in named:
                    if ours in named:
                        raise TypeError(f"{function.__name__}() got both {ours!r} and {alias!r}")
                    named[ours] = named.pop(alias)
        return function(*args, **named)

    return renamed
