"""Charts of the report pages, as data for plotly.js.

Colours are names that `page.js` replaces by those of the reader's theme: `@0` to `@6` for arms,
`@0~` and so on for their bands, and `@text`, `@faint`, `@grid`, `@shade`. Texts that come from
runs are escaped here too, as plotly.js reads some HTML in labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.statistics import Estimate

Array = NDArray[np.float64]
Figure = dict[str, Any]

COLOURS = 7
MOST_POINTS = 600
_DASHES = ("solid", "dash", "dashdot", "dot")


@dataclass(frozen=True)
class Span:
    """A phase as a chart shows it.

    Attributes:
        name: Such as `"phase 1"`.
        start: First step.
        stop: First step after it.
    """

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Line:
    """A curve, with a band where there are several seeds.

    Attributes:
        label: What it shows.
        x: Shape (points,), ascending.
        y: Shape (points,).
        low: Shape (points,): lower ends of the band; `None` without one.
        high: Shape (points,): its upper ends.
    """

    label: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class ForestRow:
    """A row of a forest plot.

    Attributes:
        label: What the effect is of.
        effect: The effect; an interval of infinite width is not drawn.
        floor: Half the width of the placebo band; `None` without placebo forks.
        verdict: A word for it; empty if there is none.
    """

    label: str
    effect: Estimate
    floor: float | None
    verdict: str = ""


def thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """At most `MOST_POINTS` points of a smooth curve, evenly chosen, with the first and last.

    Args:
        x: Shape (points,).
        y: Shape (points,).
    """
    if x.size <= MOST_POINTS:
        return x, y
    places = np.unique(np.linspace(0, x.size - 1, MOST_POINTS).astype(np.int64))
    return x[places], y[places]


def learning_chart(
    phases: Sequence[Span],
    training: Mapping[str, tuple[Array, Array]],
    evaluated: Mapping[str, Mapping[int, Estimate]],
    rates: tuple[Array, Array],
    window: int,
) -> Figure:
    """Return, success and learning rate of a run against the step.

    Args:
        phases: The phases, in order.
        training: Steps and rolling means of training episodes, by `"return"` and `"success"`.
        evaluated: Evaluation results by the same and the step of the agent.
        rates: Steps and learning rates of the updates, each of shape (updates,).
        window: Length of the rolling mean, in episodes.
    """
    traces: list[Figure] = []
    for place, (quantity, name) in enumerate((("return", "y"), ("success", "y2"))):
        scale = 100.0 if quantity == "success" else 1.0
        unit = " %" if quantity == "success" else ""
        form = ":.0f" if quantity == "success" else ":.3g"
        if quantity in training:
            steps, values = thinned(*training[quantity])
            traces.append(
                _trace(
                    steps,
                    scale * values,
                    yaxis=name,
                    name=f"training, mean of the last {window} episodes",
                    legendgroup="training",
                    showlegend=place == 0,
                    line={"color": "@0", "width": 2},
                    hovertemplate=f"training {quantity} %{{y{form}}}{unit}<extra></extra>",
                )
            )
        if found := evaluated.get(quantity):
            low, high = _arms([*found.values()])
            traces.append(
                _trace(
                    np.array([*found], dtype=np.float64),
                    scale * np.array([e.value for e in found.values()]),
                    yaxis=name,
                    mode="markers",
                    name="evaluation, 95 % interval",
                    legendgroup="evaluation",
                    showlegend=place == 0,
                    marker={"color": "@1", "size": 9, "symbol": "diamond"},
                    cliponaxis=False,
                    error_y=_bars(scale * low, scale * high),
                    hovertemplate=f"evaluation {quantity} %{{y{form}}}{unit}<extra></extra>",
                )
            )
    steps, levels = _corners(*rates)
    if steps.size:
        traces.append(
            _trace(
                steps,
                levels,
                yaxis="y3",
                name="learning rate",
                line={"color": "@0", "width": 2, "shape": "hv"},
                showlegend=False,
                hovertemplate="rate %{y:.3g}<extra></extra>",
            )
        )
    logarithmic = bool(levels.size and levels.min() > 0)
    stop = phases[-1].stop
    layout = _layout(
        height=620,
        hovermode="x",
        xaxis=_axis(
            "step (environment timesteps)", anchor="y3", range=[0, 1.01 * stop], tickformat="~s"
        ),
        yaxis=_axis("return", domain=[0.58, 1.0]),
        yaxis2=_axis("success (%)", domain=[0.27, 0.53], range=[-5, 105]),
        yaxis3=_axis(
            "learning rate",
            domain=[0.0, 0.22],
            type="log" if logarithmic else "linear",
            rangemode="tozero",
            exponentformat="power",
            dtick="D2" if logarithmic else None,
            nticks=4,
        ),
        shapes=[
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": phase.start,
                "x1": phase.stop,
                "y0": 0,
                "y1": 1,
                "fillcolor": "@shade",
                "line": {"width": 0},
                "layer": "below",
            }
            for phase in phases[1::2]
        ],
        annotations=[
            {
                "text": escape(phase.name.removeprefix("phase ")),
                "x": (phase.start + phase.stop) / 2,
                "xref": "x",
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12, "color": "@faint"},
            }
            for phase in phases
            if phase.stop - phase.start > stop / 40
        ],
    )
    if logarithmic:
        layout["yaxis3"]["range"] = _log_range(levels)
        layout["yaxis3"] |= _rate_ticks(levels)
    return {"data": traces, "layout": layout}


def forest_chart(rows: Sequence[ForestRow], quantity: str, margin: float | None = None) -> Figure:
    """Effects with intervals around zero, each over its placebo band.

    Args:
        rows: At least one, from top to bottom.
        quantity: What the effects are differences of.
        margin: The largest effect that would not matter, shaded; `None` for none.
    """
    heights = [float(len(rows) - 1 - place) for place in range(len(rows))]
    low, high = _arms([row.effect for row in rows])
    shapes: list[Figure] = []
    if margin is not None:
        shapes.append(_rectangle(-margin, margin, -0.6, len(rows) - 0.4, "@shade"))
    shapes += [
        _rectangle(-row.floor, row.floor, height - 0.28, height + 0.1, "@5~")
        for row, height in zip(rows, heights, strict=True)
        if row.floor is not None
    ]
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": -0.6, "y1": len(rows) - 0.4}
    shapes.append({**zero, "line": {"color": "@text", "width": 1.5, "dash": "dot"}})
    ends = np.array([0.0, *(e for row in rows for e in _ends(row, margin))])
    room = 0.06 * float(np.ptp(ends)) or 1.0
    data = [
        _trace(
            np.array([row.effect.value for row in rows]),
            np.array(heights) - 0.09,
            mode="markers",
            marker={"color": "@0", "size": 11},
            error_x=_bars(low, high),
            showlegend=False,
            text=[_hover(row) for row in rows],
            hovertemplate="%{text}<extra></extra>",
        )
    ]
    if any(row.floor is not None for row in rows):
        data.append(_legend_square("placebo band: what luck alone does", "@5~"))
    if margin is not None:
        data.append(_legend_square("margin: too small to matter", "@shade"))
    layout = _layout(
        height=150 + 64 * len(rows),
        xaxis=_axis(
            f"{quantity}: decayed minus held",
            range=[float(ends.min()) - room, float(ends.max()) + room],
            zeroline=False,
        ),
        yaxis={
            "range": [-0.6, len(rows) - 0.4],
            "showticklabels": False,
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        shapes=shapes,
        annotations=[
            {
                "text": escape(row.label) + (f": <b>{escape(row.verdict)}</b>" * bool(row.verdict)),
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "y": height + 0.13,
                "yref": "y",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 13, "color": "@text"},
            }
            for row, height in zip(rows, heights, strict=True)
        ],
    )
    layout["margin"]["l"] = 16
    layout["legend"] |= {"y": 1, "yanchor": "bottom"}
    return {"data": data, "layout": layout}


def lines_chart(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    boundaries: Sequence[float] = (),
    **axes: Mapping[str, Any],
) -> Figure:
    """Curves with bands.

    Args:
        lines: At least one.
        x_title: What is on the horizontal axis.
        y_title: What is on the vertical axis.
        boundaries: Where a vertical line marks a decay.
        **axes: More of plotly's settings, by `xaxis` and `yaxis`.
    """
    data: list[Figure] = []
    for place, line in enumerate(lines):
        group = {"legendgroup": str(place)}
        if line.low is not None and line.high is not None:
            edge = {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", **group}
            data.append(_trace(line.x, line.low, **edge))
            fill = {"fill": "tonexty", "fillcolor": f"@{place % COLOURS}~"}
            data.append(_trace(line.x, line.high, **edge, **fill))
        dash = _DASHES[place % len(_DASHES)]
        data.append(
            _trace(
                line.x,
                line.y,
                name=escape(line.label),
                line={"color": f"@{place % COLOURS}", "width": 2.5, "dash": dash},
                hovertemplate="%{y:.3g}",
                **group,
            )
        )
    shapes = [
        {
            "type": "line",
            "x0": step,
            "x1": step,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": "@faint", "width": 1, "dash": "dot"},
        }
        for step in boundaries
    ]
    layout = _layout(
        height=400 + 22 * max(0, len(lines) - 2),
        hovermode="x",
        xaxis=_axis(x_title, **axes.get("xaxis", {})),
        yaxis=_axis(y_title, **axes.get("yaxis", {})),
        shapes=shapes,
    )
    return {"data": data, "layout": layout}


def rates_chart(rates: Sequence[float], scores: Sequence[Estimate], best: int, y: str) -> Figure:
    """Scores against the initial rate.

    Args:
        rates: Shape (rates,), ascending and above 0.
        scores: The score of each.
        best: Index of the best.
        y: What the scores are.
    """
    low, high = _arms(scores)
    symbols = ["star" if place == best else "circle" for place in range(len(rates))]
    data = [
        _trace(
            np.array(rates),
            np.array([score.value for score in scores]),
            mode="lines+markers",
            line={"color": "@0", "width": 1.5, "dash": "dot"},
            marker={"color": "@0", "size": [15 if s == "star" else 9 for s in symbols]}
            | {"symbol": symbols},
            error_y=_bars(low, high),
            showlegend=False,
            hovertemplate="rate %{x:.3g}: %{y:.3g}<extra></extra>",
        )
    ]
    axis = _axis("initial learning rate", type="log", **_rate_ticks(np.array(rates)))
    return {"data": data, "layout": _layout(height=380, xaxis=axis, yaxis=_axis(y))}


def _trace(x: ArrayLike, y: ArrayLike, **more: Any) -> Figure:  # noqa: ANN401
    return {"type": "scatter", "mode": "lines", "x": _plain(x), "y": _plain(y), **more}


def _plain(values: ArrayLike) -> list[float | int | None]:
    """Numbers as JSON: 6 digits are more than a screen shows; what is not finite is a gap."""
    rounded = (float(f"{value:.6g}") for value in np.asarray(values, dtype=np.float64).tolist())
    return [
        None if not math.isfinite(v) else int(v) if v.is_integer() and abs(v) < 1e15 else v
        for v in rounded
    ]


def _arms(estimates: Sequence[Estimate]) -> tuple[Array, Array]:
    low = np.array([e.value - e.low for e in estimates])
    high = np.array([e.high - e.value for e in estimates])
    return low, high


def _bars(low: Array, high: Array) -> Figure:
    down, up = (np.where(np.isfinite(arm), np.maximum(arm, 0), 0) for arm in (low, high))
    return {
        "type": "data",
        "symmetric": False,
        "array": _plain(up),
        "arrayminus": _plain(down),
        "thickness": 2,
        "width": 5,
    }


def _corners(steps: Array, rates: Array) -> tuple[Array, Array]:
    """The first and the last of equal rates in a row; a line needs only those."""
    if not steps.size:
        return steps, rates
    changes = rates[1:] != rates[:-1]
    ends = np.concatenate(([True], changes)) | np.concatenate((changes, [True]))
    return steps[ends], rates[ends]


def _log_range(levels: Array) -> list[float]:
    low, high = math.log10(levels.min()), math.log10(levels.max())
    room = 0.15 * (high - low) or 0.5
    return [low - room, high + room]


def _rate_ticks(levels: Array) -> Figure:
    """Ticks at rates that are there: all of up to 5, or else evenly chosen."""
    found = np.unique(levels)
    if found.size > 5:
        found = found[np.unique(np.linspace(0, found.size - 1, 5).astype(np.int64))]
    return {"tickvals": _plain(found), "ticktext": [f"{v:.2g}" for v in found.tolist()]}


def _axis(title: str, **more: Any) -> Figure:  # noqa: ANN401
    return {
        "title": {"text": escape(title), "standoff": 8, "font": {"size": 13}},
        "gridcolor": "@grid",
        "linecolor": "@faint",
        "zeroline": False,
        "automargin": True,
        **{key: value for key, value in more.items() if value is not None},
    }


def _layout(**more: Any) -> Figure:  # noqa: ANN401
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@text", "size": 13},
        "hoverlabel": {"bgcolor": "@card", "bordercolor": "@faint", "font": {"color": "@text"}},
        "margin": {"l": 56, "r": 16, "t": 28, "b": 40},
        "legend": {"orientation": "h", "y": -0.16, "yref": "paper", "yanchor": "top", "x": 0},
        **more,
    }


def _rectangle(x0: float, x1: float, y0: float, y1: float, colour: str) -> Figure:
    return {
        "type": "rect",
        "x0": x0,
        "x1": x1,
        "y0": y0,
        "y1": y1,
        "fillcolor": colour,
        "line": {"width": 0},
        "layer": "below",
    }


def _legend_square(name: str, colour: str) -> Figure:
    marker = {"color": colour, "size": 14, "symbol": "square", "line": {"width": 0}}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [None],
        "y": [None],
        "name": name,
        "marker": marker,
        "hoverinfo": "skip",
    }


def _ends(row: ForestRow, margin: float | None) -> list[float]:
    effect = row.effect
    ends = [effect.value, *(end for end in (effect.low, effect.high) if math.isfinite(end))]
    return [*ends, *(sign * s for s in (row.floor, margin) if s is not None for sign in (-1, 1))]


def _hover(row: ForestRow) -> str:
    effect = row.effect
    text = f"{escape(row.label)}: {effect.value:+.3g}"
    if math.isfinite(effect.low):
        text += f" [{effect.low:+.3g}, {effect.high:+.3g}]"
    return text
