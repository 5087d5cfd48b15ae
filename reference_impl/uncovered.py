"""What PyTorch has and this tape has not, with what the user is told: the list that the page `docs/the_tape.md` refers to.

>>> import reference_impl as torch
>>> torch.linalg.svd
Traceback (most recent call last):
    ...
AttributeError: linalg.svd is not supported by this tape: it has no spectral decompositions
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["NOT_COVERED", "teller_of"]

_SPECTRAL = "it has no spectral decompositions"
_COMPLEX = "it has no complex numbers"
_MODULES = "it has functions, and parameters are leaves: write a function of tensors, or see nn.functional"

NOT_COVERED: dict[str, str] = {
    # PyTorch's name -> why it is not here, and what to do instead
    "bfloat16": "NumPy has no such element type; use float16 or float32",
    "complex64": _COMPLEX,
    "complex128": _COMPLEX,
    "fft": _COMPLEX,
    "vmap": "loop over the first dimension and stack the results",
    "func.vmap": "loop over the first dimension and stack the results",
    "func.functional_call": _MODULES,
    "autograd.profiler": "use Python's profiler, cProfile",
    "nested": "its tensors are dense",
    "sparse_coo_tensor": "its tensors are dense",
    "compile": "it runs as it is written",
    "jit": "it runs as it is written",
    "library": "write an autograd.Function",
    "sparse": "its tensors are dense",
    **dict.fromkeys(
        (f"utils.{n}" for n in "data tensorboard dlpack cpp_extension".split()), "it has checkpoints alone"
    ),
    "save": "use pickle, or numpy.save of x.numpy()",
    "load": "use pickle, or numpy.load and from_numpy",
    **dict.fromkeys(
        (
            f"linalg.{n}"
            for n in "cond eig eigh eigvals eigvalsh lstsq lu lu_factor matrix_rank pinv qr svd svdvals".split()
        ),
        _SPECTRAL,
    ),
    **dict.fromkeys(("svd", "qr", "lu", "pinverse", "matrix_exp"), _SPECTRAL),
    **dict.fromkeys((f"nn.{n}" for n in "Module Parameter Linear Sequential Conv2d ReLU MSELoss".split()), _MODULES),
    **dict.fromkeys((f"optim.{n}" for n in "Adam AdamW RMSprop LBFGS lr_scheduler".split()), "it has SGD alone"),
}


def teller_of(module: str) -> Callable[[str], object]:
    """Return a module's ``__getattr__``, which says why a name is not here.

    Args:
        module: the module's full name.
    """
    prefix = module.partition(".")[2]

    def tell(name: str) -> object:
        full = f"{prefix}.{name}" if prefix else name
        if full in NOT_COVERED:
            raise AttributeError(f"{full} is not supported by this tape: {NOT_COVERED[full]}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return tell
