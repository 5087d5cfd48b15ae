"""Adjudge's harness: programs are drawn, run on several engines, judged against a proved truth, and timed.

Start at `programs` (what is drawn), `cases` (a program at a point), `oracles` (what is true), `judgement` (who agrees).
`check_gradients` judges a function of your own. Importing this package needs neither PyTorch nor JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.backends.torch_gradcheck import gradcheck, gradgradcheck
    from harness.checking import check_gradients

__all__ = ["check_gradients", "gradcheck", "gradgradcheck"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "harness.checking" if name == "check_gradients" else "harness.backends.torch_gradcheck"
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
