"""A study on a cluster under Slurm: an array script, each task of which can be repeated."""

from __future__ import annotations

import shlex
import stat
import sys
from pathlib import Path

from agents.runs.directory import RunError
from agents.runs.files import write_atomically

_SCRIPT = """\
#!/bin/bash
# Written by `train.py --study ... --slurm`; submit it with: sbatch {script}
# Each task trains one part of the study: all that comes from one beginning. A task that is killed,
# or whose time is up, is requeued and goes on from its newest snapshots, bit for bit.
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#SBATCH --output={folder}/slurm-%a.log
cd {directory} || exit 1
requeue() {{
    kill -TERM "$child"
    wait "$child"
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    exit 143
}}
trap requeue TERM
{command} --part "$SLURM_ARRAY_TASK_ID" &
child=$!
wait "$child"
"""


def write_slurm_script(folder: Path, parts: int) -> Path:
    """Writes the script that trains a study as a job array.

    Args:
        folder: The folder of the study, on a disk that all nodes share.
        parts: How many parts the study has, see `Plan.parts`.

    Returns:
        The script, for `sbatch`.

    Raises:
        RunError: If it cannot be written.
    """
    train = Path(sys.argv[0]).resolve()
    words = [sys.executable, train, "--study", folder.resolve(), "--processes", "1"]
    script = folder / "slurm.sh"
    text = _SCRIPT.format(
        script=shlex.quote(str(script)),
        name=folder.name,
        last=parts - 1,
        folder=shlex.quote(str(folder.resolve())),
        directory=shlex.quote(str(Path.cwd())),
        command=shlex.join(map(str, words)),
    )
    try:
        write_atomically(script, text.encode())
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    except OSError as error:
        raise RunError(f"cannot write {script}: {error.strerror}") from error
    return script
