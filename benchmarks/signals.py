"""Measures which share of a training's processor time its signals take.

python -m benchmarks.signals --only reach-sac push-sac
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from agents import RunConfig, load_preset
from agents.learners import sb3_learner
from agents.training.loop import create_run, train_run

CASES = {
    "reach-sac": ("sac", "reach", 6_000),
    "reach-td3": ("td3", "reach", 1_700),
    "reach-tqc": ("tqc", "reach", 1_700),
    "reach-crossq": ("crossq", "reach", 1_700),
    "reach-ppo": ("ppo", "reach", 8_192),
    "reach-a2c": ("a2c", "reach", 8_192),
    "reach-trpo": ("trpo", "reach", 8_192),
    "push-sac": ("sac", "push", 12_800),
}
"""Algorithm, task and steps; all else is the preset's."""


def share(algo: str, task: str, steps: int) -> tuple[int, float, float]:
    """How often signals were taken, their milliseconds, and their share after the first update."""
    preset = load_preset(algo, task)
    config = RunConfig.from_dict({**preset, "total_timesteps": steps, "snapshot_every": 10**6})
    taken: list[float] = []
    first: list[float] = []
    take, is_due = sb3_learner.take_signals, sb3_learner.is_due

    def timed(*arguments: Any) -> dict[str, float]:
        begun = time.process_time()
        signals = take(*arguments)
        taken.append(time.process_time() - begun)
        return signals

    def noted(*arguments: Any) -> bool:
        first.append(time.process_time())
        return is_due(*arguments)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(sb3_learner, "take_signals", timed),
        mock.patch.object(sb3_learner, "is_due", noted),
    ):
        train_run(create_run(config, Path(folder) / "run"), Console(quiet=True))
    return len(taken), 1e3 * sum(taken) / len(taken), sum(taken) / (first[-1] - first[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    for name in parser.parse_args().only:
        count, milliseconds, part = share(*CASES[name])
        print(f"{name:14} {count:3} times {milliseconds:6.1f} ms each {part:6.2%} of the time")


if __name__ == "__main__":
    main()
