"""How often interventions blame something in healthy runs, and find what is wrong in faulty ones.

    python -m benchmarks.interventions --arm reach-td3 --seeds 10 11 12 --only healthy no_hindsight

Runs are those of `benchmarks.faults`, trained if they are not there. Faults that no config can have
are left out: probes are ordinary forks, which would not have them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agents import RunError
from benchmarks.faults import ARMS, CASES, train
from eval.diagnosis import diagnose_by_intervention
from eval.probes import PROBES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = [name for name, case in CASES.items() if case.reward is None and case.weights is None]
    parser.add_argument("--root", type=Path, default=Path("runs/faults"))
    parser.add_argument("--arm", choices=ARMS, default="reach-td3")
    parser.add_argument("--seeds", nargs="+", type=int, default=[10])
    parser.add_argument("--only", nargs="+", choices=cases, default=["healthy"])
    parser.add_argument("--share", type=float, default=1.0, help="of the run's compute")
    parser.add_argument("--episodes", type=int, default=20)
    arguments = parser.parse_args()
    console, begun = Console(), time.monotonic()
    table = Table("case", "seed", "probes", "beat their placebos", "best probe")
    blamed = dict.fromkeys(arguments.only, 0)
    for name in arguments.only:
        for seed in arguments.seeds:
            run = train(arguments.root, arguments.arm, name, seed)
            try:
                found = diagnose_by_intervention(
                    run, arguments.share, arguments.episodes, processes=1
                ).interventions
            except RunError as error:
                table.add_row(name, str(seed), "", "", str(error))
                continue
            assert found is not None
            blamed[name] += bool(found.culprits)
            best = ""
            if found.probes and (comparison := found.probes[0].comparison) is not None:
                best = (
                    f"{found.probes[0].name}: {comparison.effect:+.3g} "
                    f"[{comparison.low:+.3g}, {comparison.high:+.3g}], "
                    f"corrected p {comparison.p_corrected:.2g}"
                )
            beat = ", ".join(probe.name for probe in found.culprits) or "none"
            table.add_row(name, str(seed), str(len(found.probes)), beat, best)
    console.print(table)
    for name, count in blamed.items():
        kind = CASES[name].kind
        right = [key for key, probe in PROBES.items() if kind in probe.suspects]
        console.print(
            f"{name}: something blamed in {count} of {len(arguments.seeds)} runs"
            + (f"; probes of {kind}: {', '.join(right)}" if kind else "")
        )
    console.print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
