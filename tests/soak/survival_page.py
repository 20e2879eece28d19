"""The text of docs/survival.md, from what the kill matrix found."""

from __future__ import annotations

from collections.abc import Mapping

HEAD = """# What a training survives

`make soak` wrote this page from what it ran: real processes over gloo, killed and continued with the same command.
Each run has dropout, checkpoints and evaluations. "Same" means: the same bits of the weights, the same lines of
metrics.jsonl (without times) and the same eval_results.txt as a run that nothing disturbed.

## How a run ends

| signal | what it does | exit code |
|---|---|---|
| SIGTERM, SIGINT | saves after the step, leaves | 143, 130 |
| SIGUSR1 | saves after the step, leaves; the code asks for a requeue | 75 (EX_TEMPFAIL) |
| a second signal, more than two seconds after the first | leaves at once, does not save | 128 + its number |
| an error (bad data, a full disk, NaN; in one process or in all) | all processes end with one line | 2 |

- One process of several may get the signal; all of them save after the same step.
- Slurm: `#SBATCH --signal=USR1@300` sends SIGUSR1 five minutes before the end. Then either `RequeueExit=75` in
  slurm.conf, or `srun bert run_pretraining ...; [ $? = 75 ] && scontrol requeue $SLURM_JOB_ID`. In LSF it is
  `REQUEUE_EXIT_VALUES=75`.
- torchrun passes SIGUSR1 on with `--signals-to-handle=SIGTERM,SIGINT,SIGUSR1`, gives the processes 30 seconds, and
  ends with a code of its own. With `--max-restarts` it starts all processes again when one is lost, and they
  continue from the newest checkpoint.
- A step under way, and an evaluation that is due after it, are finished first.

## Signal x moment

The codes with which the processes ended. Every run was continued, and its end is the same as that of a run that was
left alone with as many processes. Of two processes the last one gets the signal; at a checkpoint and at its
publication the first one. Code 2 is the process that was left over; it says which one was lost. A negative code is a
signal that ended the process. `2+fsdp` is two processes with `--fsdp`.
"""


def page(found: Mapping[str, str], sizes: Mapping[str, str], kills: Mapping[str, int], tolerance: float) -> str:
    """Return the page.

    Args:
        found: signal, moment and processes -> the exit codes of a run whose end was the same.
        sizes: "1 to 2" -> how near the end is to that of one process.
        kills: how many there were, of which processes; the steps "of" each run.
        tolerance: in a weight, of a run continued with another number of processes.
    """
    signals, moments, counts = (list(dict.fromkeys(key.split()[i] for key in found)) for i in range(3))
    victims = ("of 0", "of 1", "of 0 and 1")
    lines = [HEAD]
    lines += [f"| processes | moment | {' | '.join(map(str, signals))} |", "|---|---|" + "---|" * len(signals)]
    for count in counts:
        for moment in moments:
            cells = " | ".join(found[f"{name} {moment} {count}"] for name in signals)
            lines.append(f"| {count} | {moment} | {cells} |")
    lines += [
        "",
        f"{len(found)} runs were disturbed and continued; {len(found)} ended the same.",
        "",
        "## Another number of processes",
        "",
        "A run stopped by SIGTERM in the middle and continued with other processes, beside a run of one process:",
        "",
        *(f"- {name}: {how} in every weight" for name, how in sizes.items()),
        "",
        "## Random kills",
        "",
        f"Two processes, {kills['of']} steps a run; SIGKILL at random moments to the first, the second or both: "
        f"{kills['kills']} kills ({', '.join(f'{kills.get(key, 0)} {key}' for key in victims)}).",
        f"{kills['whole runs']} runs ended, all the same as undisturbed ones. No kill went back behind a checkpoint.",
        "",
        "## Limits",
        "",
        f"- With another number of processes a run ends the same to rounding ({tolerance:g} in a weight here),",
        "  not to the bit.",
        "- A lock of the system keeps two runs apart on one machine. Across machines the lock file has a number that",
        "  grows; a run that finds one of another machine there watches it for 20 seconds. Two runs that begin within",
        "  seconds of each other, on machines whose file system passes on neither locks nor files, are not told apart.",
        "- On GPUs (NCCL) none of this has run yet.",
        "",
    ]
    return "\n".join(lines)
