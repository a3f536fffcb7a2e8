"""Short descriptions of lists of phases that may be long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_SHOWN = 6


def spans(numbers: Sequence[int]) -> str:
    """Abbreviates ascending numbers so that thousands of them fit in a line.

    Args:
        numbers: The numbers, ascending.

    Returns:
        The numbers separated by commas, with runs of more than three as first and last.

    Examples:
        >>> spans([0, 1, 2, 5, 7, 8, 9, 10])
        '0, 1, 2, 5, 7 to 10'
    """
    stretches: list[list[int]] = []
    for number in numbers:
        if stretches and number == stretches[-1][-1] + 1:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    words: list[str] = []
    left = len(numbers)
    for stretch in stretches:
        if len(words) >= _SHOWN:
            return f"{', '.join(words)} and {left} more"
        left -= len(stretch)
        words += [f"{stretch[0]} to {stretch[-1]}"] if len(stretch) > 3 else map(str, stretch)
    return ", ".join(words)


def phases_by_reason(reasons: Mapping[int, str]) -> dict[str, str]:
    """Groups phases that share a reason.

    Args:
        reasons: The reason of each phase by index, ascending.

    Returns:
        The reasons by the phases they apply to, such as `"phase 3"` or `"phases 0 to 9"`.
    """
    alike: dict[str, list[int]] = {}
    for index, reason in reasons.items():
        alike.setdefault(reason, []).append(index)
    return {
        f"{'phase' if len(indices) == 1 else 'phases'} {spans(indices)}": reason
        for reason, indices in alike.items()
    }
