"""The ids of the catalogue's rows by priority, and the rows that the reference does not hold.

Priority 1 is the mission, 2 what users expect next, 3 the long tail. Every row has a test that names it with
`@pytest.mark.catalogue`, or stands in `NOT_COVERED` with the error that a user gets: nothing is wrong in silence.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOT_COVERED", "PENDING", "PRIORITIES", "PRIORITY_1", "Refusal"]

_ROWS: dict[int, dict[str, tuple[int, ...]]] = {
    1: {
        "LF": (1, 2, 3, 4, 6, 8, 10, 14, 17),
        "GB": (1, 6, 7, 8, 9, 11),
        "BS": (1, 2, 3, 4, 5, 6, 9, 10, 15),
        "VJ": (1, 2, 3, 5, 6, 7),
        "AC": (1, 2, 5, 6),
        "ZE": (1, 2, 3, 4),
        "DT": (1, 2, 3, 4, 5, 11),
        "NG": (1, 2, 3, 4, 9, 10),
        "RG": (1, 2, 4, 5, 7),
        "IP": (2, 3),
        "AG": (1,),
        "TY": (1, 3),
        "CT": (1, 2, 3),
        "BC": (1, 2, 4, 5),
        "KP": (
            *(1, 2, 3, 4, 7, 8, 9, 10, 11, 13, 17, 18, 21, 23, 27, 29, 30, 32, 33, 34, 35, 36, 37, 38, 39, 40, 45),
            *(51, 59, 61, 62, 69),
        ),
        "JX": (1, 2, 3, 4, 5, 7, 8, 13, 15, 16, 22),
    },
    2: {
        "LF": (5, 7, 9, 11, 15, 16, 18, 19, 20, 21, 22, 23, 24, 26),
        "GB": (2, 3, 4, 5, 10, 12),
        "BS": (7, 8, 11, 12, 13, 14),
        "VJ": (4, 8, 9, 10, 11, 12),
        "AC": (3, 4, 7, 11),
        "ZE": (5, 6, 7, 8, 9),
        "DT": (6, 7, 8, 9, 10, 12, 13, 14, 15),
        "NG": (6, 8, 11),
        "RG": (3, 6, 8, 9),
        "DB": (1, 2, 3, 4, 6, 7, 9),
        "IP": (1, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16),
        "VW": (1, 2, 3, 4, 7, 8, 9, 10),
        "HK": (1, 2, 3, 5, 6, 8),
        "CF": (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14),
        "AG": (2, 3, 4, 5, 6, 7),
        "TY": (2, 4, 5, 6, 7),
        "CT": (4, 5, 6),
        "BC": (3, 6, 7),
        "SC": (1, 2, 3, 4, 5, 7, 9, 10, 11),
        "JX": (6, 9, 10, 11, 12, 14, 17, 18, 20, 21, 23, 24, 25),
    },
    3: {
        "LF": (12, 13, 25),
        "VJ": (13, 14),
        "AC": (8, 9, 10),
        "NG": (5, 7, 12, 13, 14, 15),
        "DB": (5, 8),
        "IP": (12, 17, 18),
        "VW": (5, 6, 11, 12),
        "HK": (4, 7, 9, 10, 11, 12, 13, 14),
        "CF": (10, 12, 15),
        "AG": (8, 9, 10),
        "FN": (1, 2, 3, 4, 5, 6, 7),
        "FM": (1, 2, 3),
        "SC": (6, 8, 12, 13, 14),
        "KP": (
            *(5, 6, 12, 14, 15, 16, 19, 20, 22, 24, 25, 26, 28, 31, 41, 42, 43, 44, 46, 47, 48, 49, 50, 52, 53, 54),
            *(55, 56, 57, 58, 60, 63, 64, 65, 66, 67, 68, *range(70, 110)),
        ),
        "JX": (19,),
    },
}
PRIORITIES = {
    f"{section}{number:02}": priority
    for priority, sections in _ROWS.items()
    for section, numbers in sections.items()
    for number in numbers
}
PRIORITY_1 = frozenset(row for row, priority in PRIORITIES.items() if priority == 1)


@dataclass(frozen=True)
class Refusal:
    """What a user of a row that is not covered does, and the error that tells them so.

    Attributes:
        does: Python statements; `torch` is the reference.
        error: the class of the exception.
        phrase: a part of its message.
    """

    does: str
    error: type[Exception]
    phrase: str


_FORWARD = "forward mode with dual numbers is not supported by this tape; torch.func.jvp gives the same derivative"

NOT_COVERED = {
    "FM01": Refusal("torch.autograd.forward_ad.dual_level()", NotImplementedError, _FORWARD),
    "FM02": Refusal("torch.autograd.forward_ad.make_dual(torch.ones(2), torch.ones(2))", NotImplementedError, _FORWARD),
    "FM03": Refusal("torch.autograd.forward_ad.unpack_dual(torch.ones(2))", NotImplementedError, _FORWARD),
}

# Rows that have neither a test nor a place in `NOT_COVERED` yet.
PENDING: frozenset[str] = frozenset()
