"""Priority 2 rows that the reference does not hold yet: each names its test and why it fails.

A test listed here is expected to fail on the reference, and fails the run when it passes: then its line goes.
"""

from __future__ import annotations

__all__ = ["KNOWN_GAPS"]

KNOWN_GAPS: dict[str, str] = {}
