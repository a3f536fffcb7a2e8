"""Tables for the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from eval.comparison import RECENT_EPISODES, Comparison, TrainingReturns
from eval.statistics import Estimate

_NONE = "-"


def comparison_table(comparison: Comparison) -> RenderableType:
    """Lays a comparison out as tables with short explanations.

    Args:
        comparison: The comparison.

    Returns:
        What a `rich` console prints, at 80 columns or more.
    """
    title = f"{comparison.run}: {comparison.env}, {comparison.algo}, seed {comparison.seed}"
    parts: list[RenderableType] = [Text(title, style="bold"), Text(""), _evaluation(comparison)]
    if any(result.decay_effect for result in comparison.phases):
        parts += [Text(""), _decay_effects(comparison)]
    parts += [Text(""), _training(comparison)]
    parts += [Text(f"note: {note}", style="yellow") for note in comparison.notes]
    return Group(*parts)


def _evaluation(comparison: Comparison) -> RenderableType:
    differs = any(result.difference for result in comparison.phases)
    last = ("minus phase 0",) if differs else ()
    table = simple_table("phase", "steps", "rate", "return", "IQM", "success %", *last)
    for result in comparison.phases:
        success = result.success_rate
        table.add_row(
            str(result.phase),
            f"{result.start}–{result.stop}",
            f"{result.learning_rate:.3g}",
            f"{result.mean_return.value:.2f}",
            f"{result.interquartile_mean_return.value:.2f}",
            f"{100 * success.value:.0f}\n[{100 * success.low:.0f}, {100 * success.high:.0f}]",
            *(_difference(result.difference) for _ in last),
        )
    effects = any(result.decay_effect for result in comparison.phases)
    difference = (
        " 'minus phase 0' is paired by episode; it includes the effect of further training as well "
        "as that of the lower rate. "
        + ("The decay effects below separate" if effects else "A held branch separates")
        + " the two."
    )
    return Group(
        f"Agents at the ends of the phases, on the same {comparison.episodes} evaluation episodes",
        table,
        "[..] is a 95 % interval, IQM the interquartile mean." + (difference if differs else ""),
    )


def _decay_effects(comparison: Comparison) -> RenderableType:
    table = simple_table(
        "into phase", "rate", "held at", "until step", "held return", "decay effect"
    )
    for result in comparison.phases:
        if (effect := result.decay_effect) is not None:
            table.add_row(
                str(result.phase),
                f"{result.learning_rate:.3g}",
                f"{effect.learning_rate:.3g}",
                str(effect.step),
                f"{effect.held_mean_return:.2f}",
                _difference(effect.effect),
            )
    return Group(
        "Decay effects: return of this run minus that of a branch held at the old rate",
        table,
        "Both went on from the same snapshot to the same step, and play the same episodes.",
    )


def _training(comparison: Comparison) -> RenderableType:
    names = ("return", "IQM", "success %")
    recent = [f"{name.removesuffix(' %')},\nlast {RECENT_EPISODES}" for name in names]
    table = simple_table("phase", "episodes", *names, *recent)
    for result in comparison.phases:
        table.add_row(
            str(result.phase),
            str(result.training.episodes),
            *_training_cells(result.training),
            *_training_cells(result.recent_training),
        )
    return Group("Training episodes of the phases, played by an agent that explored", table)


def simple_table(*columns: str, wraps: str = "steps") -> Table:
    """A table with a line below the head, all columns to the right but names at the left edge.

    Args:
        *columns: Heads.
        wraps: The column that may wrap where the terminal is narrow; as the first one, it holds
            names.

    Returns:
        The table, without rows.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    for name in columns:
        justify: JustifyMethod = "left" if name == wraps == columns[0] else "right"
        table.add_column(name, justify=justify, no_wrap=name != wraps)
    return table


def _training_cells(training: TrainingReturns) -> tuple[str, str, str]:
    if (
        training.mean is None
        or training.interquartile_mean is None
        or training.success_rate is None
    ):
        return _NONE, _NONE, _NONE
    return (
        f"{training.mean:.2f}",
        f"{training.interquartile_mean:.2f}",
        f"{100 * training.success_rate:.0f}",
    )


def _difference(estimate: Estimate | None) -> str:
    if estimate is None:
        return _NONE
    return f"{estimate.value:+.2f}\n[{estimate.low:+.2f}, {estimate.high:+.2f}]"
