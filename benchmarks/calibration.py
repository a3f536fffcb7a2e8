"""How often the intervals and verdicts over seeds are right, in simulated studies.

Prints the coverage of nominal 95 % intervals, false alarms where nothing was changed, and power.
Effects are simulated as `effect + a_s + b_e + c_se` for seeds s and episodes e, with standard
deviations 1, 1 and 3 and three kinds of seeds: normal; skewed (exponential); and bimodal, where one
seed in five collapses. With `--effects`, seeds are also resampled from a real study.

    python benchmarks/calibration.py
    python benchmarks/calibration.py --effects effects.csv
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.crossed import CrossedMean, crossed_mean, crossed_t_ends, widened_ends
from eval.noise_floor import noise_floor
from eval.statistics import pooled_interquartile_mean
from eval.verdicts import Verdict, judge

Array = NDArray[np.float64]
Seeds = Callable[[np.random.Generator, tuple[int, ...]], Array]

STUDIES, BATCH = 20_000, 500
VERDICTS = 1_000
EPISODES = 100
OF_SEED, OF_EPISODE, OF_REST = 1.0, 1.0, 3.0
COLLAPSE = 0.2


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return generator.normal(size=shape)


def skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return generator.exponential(size=shape) - 1


def bimodal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.where(generator.random(shape) < COLLAPSE, -2.0, 0.5)


KINDS: dict[str, Seeds] = {"normal": normal, "skewed": skewed, "bimodal": bimodal}


def simulate(
    kind: Seeds,
    generator: np.random.Generator,
    studies: int,
    seeds: int,
    of_episode: float = OF_EPISODE,
) -> tuple[Array, Array]:
    """Effects of shape (studies, seeds, episodes) whose true mean is 0, and a_s beside them."""
    of_seed = OF_SEED * kind(generator, (studies, seeds, 1))
    of_episodes = of_episode * generator.normal(size=(studies, 1, EPISODES))
    rest = OF_REST * generator.normal(size=(studies, seeds, EPISODES))
    return of_seed + of_episodes + rest, of_seed[..., 0]


def over_episodes_only(values: Array) -> tuple[Array, Array]:
    """What an interval over episodes alone, such as that of one run, would claim."""
    means = values.mean(axis=1)
    half = 1.96 * means.std(axis=1, ddof=1) / np.sqrt(means.shape[1])
    return means.mean(axis=1) - half, means.mean(axis=1) + half


def percentile_over_seeds(mean: CrossedMean, generator: np.random.Generator) -> tuple[Array, Array]:
    """Percentile bootstrap over the seeds' means."""
    seeds = mean.seed_means.shape[-1]
    counts = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=1_000) / seeds
    low, high = np.quantile(mean.seed_means @ counts.T, [0.025, 0.975], axis=-1)
    return low, high


def coverage(kind: Seeds, seeds: int) -> tuple[dict[str, float], float, float]:
    """Percent of intervals that hold 0; the same of the widened ones where no seed collapsed; and
    their width, as a multiple of the t interval's.
    """
    generator = np.random.default_rng([seeds, len(kind.__name__)])
    held: dict[str, list[Array]] = {}
    unwarned: list[Array] = []
    widths: list[Array] = []
    for _ in range(STUDIES // BATCH):
        values, of_seed = simulate(kind, generator, BATCH, seeds)
        mean = crossed_mean(values)
        intervals = {
            "episodes only": over_episodes_only(values),
            "percentile": percentile_over_seeds(mean, generator),
            "crossed t": crossed_t_ends(mean, 0.95),
            "widened t": widened_ends(mean, 0.95),
        }
        for name, (low, high) in intervals.items():
            held.setdefault(name, []).append((low <= 0) & (high >= 0))
        unwarned.append(held["widened t"][-1][np.all(of_seed > -1.5, axis=1)])
        (low, high), (t_low, t_high) = intervals["widened t"], intervals["crossed t"]
        widths.append((high - low) / (t_high - t_low))
    percent = {name: 100 * float(np.mean(np.concatenate(hits))) for name, hits in held.items()}
    alone = np.concatenate(unwarned)
    return percent, 100 * float(alone.mean()) if alone.size else np.nan, float(np.median(widths))


def print_coverage() -> None:
    print(f"Coverage of nominal 95 % intervals, {STUDIES} studies a row, {EPISODES} episodes")
    print(f"{'seeds':>5} {'kind':8} {'episodes only':>14} {'percentile':>11} ", end="")
    print(f"{'crossed t':>10} {'widened t':>10} {'its width':>10}")
    for seeds in (3, 6, 10, 14, 20):
        for name, kind in KINDS.items():
            if seeds in (14, 20) and name != "bimodal":
                continue
            percent, unwarned, width = coverage(kind, seeds)
            print(
                f"{seeds:>5} {name:8} {percent['episodes only']:>14.1f} "
                f"{percent['percentile']:>11.1f} {percent['crossed t']:>10.1f} "
                f"{percent['widened t']:>10.1f} {width:>10.2f}",
                end="",
            )
            if name == "bimodal":
                missed = 100 * (1 - COLLAPSE) ** seeds
                print(f"   no collapse seen: {missed:.0f} % of studies, covered {unwarned:.0f} %")
            else:
                print()


def percentile_coverage_of_the_interquartile_mean(seeds: int) -> float:
    """Percent of percentile intervals over seeds that hold the interquartile mean, normal seeds."""
    generator = np.random.default_rng(seeds)
    hits = []
    for _ in range(2_000):
        scores = generator.normal(size=(seeds, 1))
        rows = generator.integers(0, seeds, (500, seeds))
        low, high = np.quantile(pooled_interquartile_mean(scores[rows]), [0.025, 0.975])
        hits.append(low <= 0 <= high)
    return 100 * float(np.mean(hits))


def verdicts(
    values: Callable[[np.random.Generator], Array], margin: float
) -> list[tuple[Verdict, ...]]:
    """Verdicts on studies, each of the shape (boundaries, seeds, episodes)."""
    generator = np.random.default_rng(0)
    return [judge(list(values(generator)), margin) for _ in range(VERDICTS)]


def alarms(found: list[tuple[Verdict, ...]]) -> float:
    """Percent of studies in which any decay is called better or worse."""
    return 100 * float(np.mean([any(v.word in ("better", "worse") for v in f) for f in found]))


def placebo_study(
    kind: Seeds, boundaries: int, seeds: int, generator: np.random.Generator
) -> Array:
    """Differences of forks that differ by luck alone, so that no episode suits either better."""
    first, _ = simulate(kind, generator, boundaries, seeds, of_episode=0.0)
    second, _ = simulate(kind, generator, boundaries, seeds, of_episode=0.0)
    return first - second


def study_without_effect(
    kind: Seeds, boundaries: int, seeds: int, generator: np.random.Generator
) -> Array:
    """Effects that add up to 0 although they need not be symmetric about it."""
    return simulate(kind, generator, boundaries, seeds)[0]


def print_false_alarms() -> None:
    print(f"\nFalse alarms: any better or worse, {VERDICTS} studies")
    print("                  placebo forks (nothing is changed)  effects whose mean is 0")
    print(f"{'seeds':>5} {'boundaries':>11} " + " ".join(f"{name:>10}" for name in [*KINDS] * 2))
    for seeds, boundaries in ((6, 1), (10, 1), (10, 3)):
        cells = []
        for study in (placebo_study, study_without_effect):
            cells += [
                alarms(verdicts(partial(study, kind, boundaries, seeds), 1e-9))
                for kind in KINDS.values()
            ]
        print(f"{seeds:>5} {boundaries:>11} " + " ".join(f"{cell:>8.1f} %" for cell in cells))


def print_power() -> None:
    def share(word: str, seeds: int, effect: float, margin: float) -> float:
        found = verdicts(lambda g: simulate(normal, g, 1, seeds)[0] + effect, margin)
        return 100 * float(np.mean([f[0].word == word for f in found]))

    print(f"\nPower: percent of {VERDICTS} studies with the right word, one boundary, normal seeds")
    print("       better, if the effect is       equivalent, if it is 0 and the margin")
    print("seeds  1    1.5    2 deviations       1    1.5    2 deviations between seeds")
    for seeds in (6, 10, 15):
        better = [share("better", seeds, effect, 1e-9) for effect in (1.0, 1.5, 2.0)]
        equivalent = [share("equivalent", seeds, 0.0, margin) for margin in (1.0, 1.5, 2.0)]
        cells = ["  ".join(f"{cell:>4.0f}" for cell in part) for part in (better, equivalent)]
        print(f"{seeds:>5}" + (" " * 20).join(cells))
    wrong = share("equivalent", 10, 1.0, 1.0)
    print(f"called equivalent although the effect equals the margin, 10 seeds: {wrong:.1f} %")


def placebo_alarms(seeds: int, replicates: int) -> float:
    """Percent of studies whose decay does nothing and yet exceeds the noise floor."""
    generator = np.random.default_rng([seeds, replicates])
    found = 0
    for _ in range(VERDICTS):
        episodes = generator.normal(size=(1, 1, EPISODES))
        forks = generator.normal(size=(seeds, replicates + 2, 1)) + episodes
        forks = forks + OF_REST * generator.normal(size=(seeds, replicates + 2, EPISODES))
        held, decayed, placebos = forks[:, 0], forks[:, 1], forks[:, 2:]
        found += noise_floor(decayed - held, placebos - held[:, np.newaxis]).exceeds
    return 100 * found / VERDICTS


def print_placebos() -> None:
    print("\nPlacebo forks: studies in which a decay that does nothing exceeds the noise floor")
    for seeds, replicates in ((6, 1), (6, 2), (10, 2)):
        percent = placebo_alarms(seeds, replicates)
        print(f"{seeds:>5} seeds, placebo forks of each: {replicates}: {percent:.1f} %")


def print_resampled(path: Path) -> None:
    """Coverage where the seeds are those of a real study, whose mean is taken for the truth."""
    table = pd.read_csv(path)
    table = table[table["fork"] == "decay"]
    table["effect"] = table["fork_return"] - table["held_return"]
    print(f"\nSeeds and episodes drawn from {path}")
    for name, rows in table.groupby(["task", "arm", "phase"]):
        effects = rows.pivot_table(index="seed", columns="episode", values="effect").to_numpy()
        for seeds in (6, 10):
            percent = resampled_coverage(effects, seeds)
            cells = ", ".join(f"{kind} {p:.1f}" for kind, p in percent.items())
            print(f"{seeds:>5} of {len(effects)} seeds, {name}: {cells}")


def resampled_coverage(effects: Array, seeds: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    hits: dict[str, list[Array]] = {}
    for _ in range(STUDIES // BATCH):
        rows = generator.integers(0, effects.shape[0], (BATCH, seeds, 1))
        columns = generator.integers(0, effects.shape[1], (BATCH, 1, effects.shape[1]))
        mean = crossed_mean(effects[rows, columns])
        for name, ends in (("crossed t", crossed_t_ends), ("widened t", widened_ends)):
            low, high = ends(mean, 0.95)
            hits.setdefault(name, []).append((low <= effects.mean()) & (effects.mean() <= high))
    return {name: 100 * float(np.mean(np.concatenate(h))) for name, h in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--effects", type=Path, help="effects.csv of a study")
    effects = parser.parse_args().effects
    start = time.process_time()
    print_coverage()
    print("\nPercentile intervals over seeds of the interquartile mean, normal seeds:")
    for seeds in (6, 10):
        print(f"{seeds:>5} seeds: {percentile_coverage_of_the_interquartile_mean(seeds):.1f} %")
    print_false_alarms()
    print_power()
    print_placebos()
    if effects is not None:
        print_resampled(effects)
    print(f"\n{time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
