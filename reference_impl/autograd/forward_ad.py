"""`torch.autograd.forward_ad`: dual numbers, which this tape does not have.

The derivative along a direction is there without them: `torch.func.jvp` and `torch.autograd.functional.jvp` run backward
twice.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]

_REFUSED = "forward mode with dual numbers is not supported by this tape; torch.func.jvp gives the same derivative"


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(_REFUSED)


dual_level = enter_dual_level = exit_dual_level = make_dual = unpack_dual = _refuse
