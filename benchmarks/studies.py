"""What sharing common beginnings is worth: a grid of decays as one study, and run by run.

Three times of the first decay and three factors, on Reach. Every run of the study must end in the
bits of the run from scratch, which is checked. Run with `python -m benchmarks.studies`; takes about
five minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agents import RunDirectory, create_run, train_run
from agents.runs.directory import snapshot_steps
from agents.runs.manifest import Snapshot, read_snapshot
from agents.studies.conduct import conduct
from agents.studies.manifest import segments_folder, study_folder, write_study
from agents.studies.plan import make_plan
from agents.studies.store import SegmentStore
from agents.studies.study import Study
from agents.training.workers import RunPool

STUDY = Study(
    name="grid",
    base={"env": "reach", "total_timesteps": 4000, "decay_steps": 4000},
    seeds=[0],
    axes={"constant_steps": [2000, 2500, 3000], "decay_rate": [0.5, 0.2, 0.1]},
)
QUIET = Console(quiet=True)


def last(run: RunDirectory) -> Snapshot:
    return read_snapshot(run, snapshot_steps(run)[-1])


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    plan = make_plan(STUDY)
    print(f"{len(plan.runs)} runs in {len(plan.tree.segments)} segments")
    print(f"steps: {plan.trained_steps / plan.scratch_steps:.2f} of those from scratch")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        path = study_folder(STUDY, root)
        write_study(plan, path)
        store = SegmentStore(segments_folder(root))
        result = conduct(plan, path, store, RunPool(), QUIET)
        # Seconds are counted on through forks, so a segment's own begin with its parent's.
        shared = 0.0
        for segment in plan.tree.segments:
            run = store.find(segment, segment.stop)
            assert run is not None
            before = read_snapshot(run, segment.start).elapsed_s if segment.start else 0.0
            shared += last(run).elapsed_s - before
        alone = 0.0
        for number, run in enumerate(result.runs):
            scratch = create_run(run.config, root / f"scratch-{number}")
            train_run(scratch, QUIET)
            alone += last(scratch).elapsed_s
            assert last(scratch).state_sha256 == last(run).state_sha256, run.path
    print(f"time:  {shared / alone:.2f} of that from scratch, {shared:.0f} s and {alone:.0f} s")
    print("all runs end in the same bits both ways")


if __name__ == "__main__":
    main()
