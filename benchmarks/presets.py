"""The results of the presets: the tables in docs/training.md.

    python -m benchmarks.presets [--tasks push slide] [--algos sac] [--seeds 0 1 2]

Trains each combination as `train.py` does and prints a row with the success rate and the mean
return of each phase's agent on the 100 evaluation episodes. A run that is in its place already,
`<root>/<task>/<algo>-seed<seed>`, is read, or trained to its end, so that the rows of a table can
be trained at different times, two at once. Minutes are of processor time, evaluation included, and
only given if all of it was done by this call.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console

import envs
from agents import ALGORITHMS, RunConfig, RunDirectory, RunError, load_preset
from agents.training.interruption import TrainingInterrupted
from agents.training.loop import create_run, train_run
from eval import compare_phases

ROOT = Path("runs/presets")


def trained(task: str, algo: str, seed: int, root: Path) -> RunDirectory:
    """The run of a preset, trained unless it is already."""
    path = root / task / f"{algo}-seed{seed}"
    config = RunConfig.from_dict({**load_preset(algo, task), "seed": seed})
    begun = (path / "run.json").exists()
    try:
        run = RunDirectory.open(path) if begun else create_run(config, path)
        if run.config != config:
            raise RunError(f"{path} was not trained with the present preset: move it away")
        train_run(run, Console(quiet=True))
    except (RunError, TrainingInterrupted) as error:
        raise SystemExit(str(error)) from None
    return run


def row(task: str, algo: str, seed: int, root: Path) -> str:
    """One row of the table."""
    begun, whole = time.process_time(), not (root / task / f"{algo}-seed{seed}").exists()
    run = trained(task, algo, seed, root)
    phases = compare_phases(run).phases
    minutes = (time.process_time() - begun) / 60
    config = run.config
    cells = [
        f"`{config.env}`",
        f"`{config.algo}`",
        f"{config.seed}",
        f"{phases[-1].stop:,}",
        *(f"{phase.success_rate.value:.0%}, {phase.mean_return.value:.2f}" for phase in phases),
        f"{minutes:.1f}" if whole else "",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=envs.TASKS, default=list(envs.TASKS))
    parser.add_argument("--algos", nargs="+", choices=ALGORITHMS, default=["sac"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args()
    print("| task | algorithm | seed | steps | each phase's agent ... | minutes |")
    for task in args.tasks:
        for algo in args.algos:
            for seed in args.seeds:
                print(row(task, algo, seed, args.root), flush=True)


if __name__ == "__main__":
    main()
