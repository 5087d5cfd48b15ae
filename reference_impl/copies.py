"""The ops that give views, as ops that give copies: `view_copy` and its kin.

>>> import reference_impl as torch
>>> x = torch.ones(2, 3)
>>> torch.permute_copy(x, (1, 0))._is_view()
False
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from reference_impl import functions as F
from reference_impl.tensor import Tensor

_NAMES = (
    *"alias_copy detach_copy diagonal_copy expand_copy permute_copy select_copy split_copy split_with_sizes_copy".split(),
    *"squeeze_copy t_copy transpose_copy unbind_copy unfold_copy unsqueeze_copy view_copy".split(),
)
__all__ = list(_NAMES)


def _copying(view: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(view)
    def copy(input: Tensor, *args: Any, **named: Any) -> Any:
        found = view(input, *args, **named)
        return F.clone(found) if isinstance(found, Tensor) else tuple(map(F.clone, found))

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"What `{name.removesuffix('_copy')}` gives, as a copy."
    return copy


def _alias(input: Tensor) -> Tensor:
    return input


def _detach(input: Tensor) -> Tensor:
    return input.detach()


_VIEWS = {"alias": _alias, "detach": _detach}
for _name in _NAMES:
    _op = _name.removesuffix("_copy")
    globals()[_name] = _copying(_VIEWS.get(_op) or getattr(F, _op), _name)
