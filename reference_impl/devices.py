"""Where tensors lie: the CPU's memory, dense. PyTorch's ways of saying so are understood, others are refused.

>>> import reference_impl as torch
>>> x = torch.zeros(2, device="cuda" if torch.cuda.is_available() else "cpu")
>>> x.device
device(type='cpu')
>>> torch.zeros(2, device="cuda")
Traceback (most recent call last):
    ...
NotImplementedError: device: the tape computes on the CPU, got cuda
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CPU", "check_place", "contiguous_format", "cuda", "device", "preserve_format", "strided"]


@dataclass(frozen=True, init=False)
class device:  # noqa: N801  # PyTorch's name
    """A place for tensors, as ``torch.device("cpu")`` or ``torch.device("cuda", 0)``; only on a CPU can one be made.

    Attributes:
        type: as "cpu" or "cuda".
        index: which of several, or None.
    """

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        name, _, number = str(type).partition(":")
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", int(number) if number else index)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")


@dataclass(frozen=True)
class _Format:
    name: str

    def __repr__(self) -> str:
        return f"torch.{self.name}"


CPU = device("cpu")
contiguous_format, preserve_format, strided = (_Format(n) for n in ("contiguous_format", "preserve_format", "strided"))


def check_place(place: Any = None, layout: Any = None, memory_format: Any = None) -> None:
    """Refuse what is not the CPU's memory, dense.

    Raises:
        NotImplementedError: another device, layout or order of memory.
    """
    if place is not None and place is not CPU and device(place).type != "cpu":
        raise NotImplementedError(f"device: the tape computes on the CPU, got {place}")
    if layout is not None and layout is not strided:
        raise NotImplementedError(f"layout: the tape has dense tensors, got {layout}")
    if memory_format not in (None, contiguous_format, preserve_format):
        raise NotImplementedError(
            f"memory_format: the tape has row-major tensors and views of them, got {memory_format}"
        )


class cuda:  # noqa: N801  # PyTorch's name
    """What programs ask before they choose a device."""

    @staticmethod
    def is_available() -> bool:
        """Tell that there is no GPU here."""
        return False

    @staticmethod
    def device_count() -> int:
        """Return how many GPUs there are: none."""
        return 0
