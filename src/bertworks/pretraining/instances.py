"""The instances of a pre-training: of each of its phases, and of its evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bertworks.checkpoints.early import vocabulary
from bertworks.checkpoints.resolve import StartingPoint, tokenizer_or_none
from bertworks.data.input import PretrainingInput, open_input
from bertworks.data.instances import InstanceSource
from bertworks.data.stream import Drawing, ShardSource
from bertworks.errors import InputError
from bertworks.pretraining.flags import PretrainingFlags
from bertworks.pretraining.phases import TrainingPhase, phases_of
from bertworks.tasks.pretraining import InstancePhase


@dataclass(frozen=True)
class TrainingInput:
    """What a training trains on.

    Attributes:
        opened: the input of the first phase.
        phases: in order, and the source of each.
    """

    opened: PretrainingInput
    phases: tuple[TrainingPhase, ...]
    sources: tuple[InstanceSource, ...]

    @property
    def longest(self) -> int:
        """The longest instance, in tokens."""
        return max(phase.max_seq_length for phase in self.phases)

    def of_task(self) -> list[InstancePhase]:
        """Return the phases as the task takes them."""
        return [
            InstancePhase(
                source=source,
                train_batch_size=phase.train_batch_size,
                first_step=phase.first_step,
                first_instance=phase.first_instance,
                causal=phase.objective == "causal_lm",
            )
            for phase, source in zip(self.phases, self.sources, strict=True)
        ]

    def shown(self, step: int) -> str:
        """Return the instances of a step as text, masked, whatever the objective."""
        number = max(i for i, phase in enumerate(self.phases) if phase.first_step <= step)
        phase = self.phases[number]
        first = phase.first_instance + (step - phase.first_step) * phase.train_batch_size
        return replace(self.opened, source=self.sources[number]).shown(first, phase.train_batch_size)

    def identity(self, flags: PretrainingFlags) -> dict[str, object]:
        """Return what must not change when the run continues, by flag. Phases are shares of the number of steps."""
        found = {f"--{name}": value for name, value in self.opened.source.identity().items()}
        found["--train_batch_size"] = flags.train_batch_size
        if len(self.phases) > 1:
            found |= {"--max_seq_length": flags.max_seq_length, "--masked_lm_prob": flags.masked_lm_prob}
            found |= {"--phase_shares": flags.phase_shares, "--num_train_steps": flags.num_train_steps}
            found |= {"--objective": flags.objective}
        return found


def training_input(
    flags: PretrainingFlags, start: StartingPoint | None = None, *, keeps_counts: bool = True
) -> TrainingInput:
    """Open what to train on; what the flags leave open, the starting point tells.

    Args:
        keeps_counts: whether this process writes the counts of instances to the output folder.

    Raises:
        InputError: as `open_input`; record files hold instances of one length that are masked already.
    """
    phases = phases_of(flags)
    drawings = [_drawing(flags, phase) for phase in phases]
    opened = _open(
        flags, flags.input_file, "--input_file", drawings[0], start, training=True, keeps_counts=keeps_counts
    )
    sources: list[InstanceSource] = [opened.source]
    for number, drawing in enumerate(drawings[1:], 1):
        if drawing in drawings[:number]:
            sources.append(sources[drawings.index(drawing)])
        elif isinstance(opened.source, ShardSource):
            file = _counts_file(flags, drawing.max_seq_length)
            sources.append(opened.source.drawn_otherwise(drawing, file))
        else:
            raise InputError(
                "--input_file: record files hold instances that are cut and masked already; phases of other lengths "
                "or masks need a folder of shards"
            )
    return TrainingInput(opened, phases, tuple(sources))


def evaluation_source(flags: PretrainingFlags, start: StartingPoint | None) -> InstanceSource:
    """Open what to evaluate on: instances of the last phase's length, masked in the original's way."""
    last = phases_of(flags)[-1]
    share = last.masked_lm_prob if flags.eval_masked_lm_prob is None else flags.eval_masked_lm_prob
    drawing = replace(_drawing(flags, last), masked_lm_prob=share, mean_span_length=0.0, mask_all=False)
    held_out = flags.eval_input_file or flags.input_file
    return _open(flags, held_out, "--eval_input_file", drawing, start, training=False).source


def _drawing(flags: PretrainingFlags, phase: TrainingPhase) -> Drawing:
    return Drawing(
        max_seq_length=phase.max_seq_length,
        max_predictions_per_seq=flags.max_predictions_per_seq,
        masked_lm_prob=phase.masked_lm_prob,
        short_seq_prob=flags.short_seq_prob,
        do_whole_word_mask=flags.do_whole_word_mask,
        random_seed=flags.random_seed,
        next_sentence=flags.next_sentence,
        mean_span_length=flags.mean_span_length,
        mask_all=flags.mask_all,
    )


def _open(
    flags: PretrainingFlags,
    patterns: str,
    flag: str,
    drawing: Drawing,
    start: StartingPoint | None,
    *,
    training: bool,
    keeps_counts: bool = False,
) -> PretrainingInput:
    checkpoint, config = (start.checkpoint, start.config) if start else (None, None)
    return open_input(
        patterns,
        flag,
        drawing,
        vocab_file=vocabulary(flags.vocab_file),
        do_lower_case=flags.do_lower_case,
        strip_accents=flags.strip_accents,
        records_tokenizer=tokenizer_or_none(checkpoint, flags.vocab_file, flags.do_lower_case, flags.strip_accents),
        casing_is_known=flags.do_lower_case is not None or bool(checkpoint and checkpoint.do_lower_case is not None),
        vocab_size=config.vocab_size if config else None,
        type_vocab_size=config.type_vocab_size if config else 2,
        shuffled=training,
        counts_file=_counts_file(flags, phases_of(flags)[0].max_seq_length) if training else None,
        keeps_counts=keeps_counts,
    )


def _counts_file(flags: PretrainingFlags, max_seq_length: int) -> Path | None:
    """Return where the counts of instances of a length are kept."""
    is_first = max_seq_length == phases_of(flags)[0].max_seq_length
    name = "instance_counts.json" if is_first else f"instance_counts-{max_seq_length}.json"
    return Path(flags.output_dir) / name if flags.output_dir else None


def without_room(flags: PretrainingFlags, phases: Sequence[TrainingPhase]) -> list[str]:
    """Return a remark for each phase whose share of masks --max_predictions_per_seq cuts."""
    most = flags.max_predictions_per_seq
    cut = {
        (phase.max_seq_length, phase.masked_lm_prob)
        for phase in phases
        if phase.objective == "masked_lm" and 0 < most < round(phase.max_seq_length * phase.masked_lm_prob)
    }
    return [
        f"--max_predictions_per_seq={most}: fewer than {share:.0%} of {length} tokens are masked; 0 masks them all"
        for length, share in sorted(cut)
    ]
