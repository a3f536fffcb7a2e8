"""The cost of studying all decays with forked held branches, compared with runs from scratch.

The study is the default Reach staircase and, at each boundary, the run that holds the rate for one
phase more. Forked, a branch trains that phase alone; from scratch it trains all the way there. The
two end in the same bits, which is checked. Run with `python -m benchmarks.held_branches`; takes
about six minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agents import RunConfig, RunDirectory, load_preset
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import read_snapshot
from agents.training.branch_schedules import held_schedule
from agents.training.branches import create_branch
from agents.training.loop import create_run, train_run


def final_state(run: RunDirectory) -> str:
    return read_snapshot(run, snapshot_steps(run)[-1]).state_sha256


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    config = RunConfig.from_dict(load_preset("sac", "reach"))
    forked = scratch = 0.0
    print(f"{'run':>10} {'forked, CPU s':>16} {'from scratch, CPU s':>22}  same bits")
    with TemporaryDirectory() as folder:
        start = time.process_time()
        trunk = create_run(config, Path(folder) / "trunk")
        train_run(trunk, Console(quiet=True))
        seconds = time.process_time() - start
        forked, scratch = seconds, seconds
        print(f"{'trunk':>10} {seconds:>16.1f} {seconds:>22.1f}")
        for phase in (p.index for p in trunk.effective_phases[1:]):
            name = f"held-{phase}"
            start = time.process_time()
            schedule = held_schedule(trunk, phase)
            branch = create_branch(trunk, phase, schedule, "phase", Path(folder) / name)
            train_run(branch, Console(quiet=True))
            branch_seconds = time.process_time() - start

            start = time.process_time()
            whole = create_run(branch.config, Path(folder) / f"{name}-from-scratch")
            train_run(whole, Console(quiet=True))
            whole_seconds = time.process_time() - start

            forked += branch_seconds
            scratch += whole_seconds
            same = "yes" if final_state(branch) == final_state(whole) else "NO"
            print(f"{name:>10} {branch_seconds:>16.1f} {whole_seconds:>22.1f}  {same}")
    print(f"{'all':>10} {forked:>16.1f} {scratch:>22.1f}  ratio {forked / scratch:.2f}")


if __name__ == "__main__":
    main()
