"""`bert run_pretraining`: masked words and next sentence, from scratch or from a checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bertworks import files
from bertworks.card.write import write_card_of_run
from bertworks.checkpoints.early import check_model, check_there
from bertworks.errors import InputError
from bertworks.pretraining.checks import check
from bertworks.pretraining.flags import PretrainingFlags
from bertworks.pretraining.recipes import with_recipe

if TYPE_CHECKING:
    from bertworks.train.distributed import World


@dataclass(frozen=True, kw_only=True)
class Flags(PretrainingFlags):
    """Pre-train BERT on masked words and next sentence.

    From scratch:  bert run_pretraining --input_file=SHARDS --output_dir=OUT --size=small --do_train --do_eval
    Continue from: --bert_config_file=... --init_checkpoint=... as in the original, or --model=FOLDER
    From text:     --input_file='texts/*.txt' with --model or --vocab_file; its shards go to OUTPUT_DIR/shards first
    After a kill:  the same command continues; on CPU the result has the same bits
    To look:       --show_step=0 prints the instances of the first step
    """

    shown_first = "input_file output_dir model size max_seq_length do_train do_eval train_batch_size num_train_steps"


def main(flags: Flags) -> None:
    """Run the command."""
    flags, said = with_recipe(flags)
    check(flags)
    if flags.show_step is not None:
        from bertworks.pretraining.instances import training_input

        print(training_input(flags).shown(flags.show_step), end="")
        return
    if not (flags.do_train or flags.do_eval):
        raise InputError("give at least one of --do_train, --do_eval and --show_step")
    if flags.plan and not flags.do_train:
        raise InputError("--plan: is the plan of a training; give --do_train too")
    if not flags.output_dir:
        raise InputError("--output_dir: must be given")
    files.expand(flags.input_file, "--input_file")
    if not flags.size:
        check_model(flags, needed=False)
    if flags.grow_from:
        check_there(flags.grow_from, "--grow_from")
    from bertworks.pretraining.run import pretrain
    from bertworks.pretraining.timing import with_steps
    from bertworks.train.agreement import joined

    output_dir = Path(flags.output_dir)
    with joined(flags) as world, ExitStack() as stack:
        for line in said if flags.do_train else ():
            world.say(line)
        # A plan leaves nothing behind.
        folder = Path(stack.enter_context(TemporaryDirectory())) if flags.plan and world.size == 1 else output_dir
        flags = _with_shards(flags, folder, world)
        if flags.recipe == "auto" and flags.do_train:
            flags = with_steps(flags, output_dir, world, folder)
        usual = max(1, flags.num_train_steps // 10)
        if flags.do_train and flags.num_warmup_steps >= flags.num_train_steps and flags.num_warmup_steps != usual:
            world.say(
                f"--num_warmup_steps={flags.num_warmup_steps}: the rate never reaches its peak in these steps; usual "
                f"is a tenth of them, --num_warmup_steps={usual}."
            )
        pretrain(flags, output_dir, world)
        if world.is_main:
            write_card_of_run(output_dir)


def _with_shards(flags: Flags, output_dir: Path, world: World) -> Flags:
    """Return flags that name shards: those of texts are written into a folder first, by the first process.

    A folder that has them already is left as it is.

    Raises:
        InputError: some files are texts and others are not, or nothing says what the vocabulary is.
    """
    from bertworks.commands import create_pretraining_data
    from bertworks.text.text_files import names_texts
    from bertworks.typed import typed

    made: dict[str, str] = {}
    for name, folder in (("input_file", "shards"), ("eval_input_file", "eval_shards")):
        patterns = getattr(flags, name)
        if not patterns or not names_texts(patterns, f"--{name}"):
            continue
        said = ("model",) if flags.model else ("vocab_file",)
        rules = [rule for rule in ("do_lower_case", "strip_accents") if getattr(flags, rule) is not None]
        words = [f"--{flag}={value}" for flag in (*said, *rules) if (value := getattr(flags, flag)) is not None]
        words = [f"--input_file={patterns}", *words, f"--output_dir={output_dir / folder}"]
        world.in_main(partial(typed, create_pretraining_data, *words))
        made[name] = str(output_dir / folder)
    return replace(flags, **made)  # type: ignore[arg-type]
