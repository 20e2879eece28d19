"""`bert demo`: from plain text to a small pre-trained BERT, by the same commands that a person would type."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bertworks import files
from bertworks.errors import InputError
from bertworks.flags import CommandFlags, flag
from bertworks.typed import title, typed

# One document in so many is held out: never trained on, only evaluated on.
HELD_OUT = 10

# Short instances learn faster on short sentences.
MAX_SEQ_LENGTH = 64

# Instances of an evaluation.
EVALUATED = 1024

SENTENCES = (
    "If the file does not [MASK], an exception is raised.",
    "Return true if the string is [MASK], false otherwise.",
    "The default [MASK] is used if no argument is given.",
    "This module [MASK] support for regular expressions.",
)


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """From plain text to a small pre-trained BERT: learn a vocabulary, make shards, pre-train, evaluate, fill masks.

    The text comes with every Python: its reference documentation and the docstrings of its standard library.
    If the demo was killed, run it again: every step continues where it stopped.
    """

    output_dir: str = flag("demo", "The folder for everything that the demo writes.", path="written folder")
    size: str = flag("2/128", "The model: a name or layers/hidden.")
    vocab_size: int = flag(8000, "How many pieces the vocabulary has.", lowest=200)
    num_train_steps: int = flag(4500, "Steps of training.", lowest=1)
    num_workers: int = flag(1, "Processes that prepare the data.", lowest=1)


def main(flags: Flags) -> None:
    """Run the demo."""
    output = Path(flags.output_dir)
    text, held_out, vocab = output / "text.txt", output / "held_out.txt", output / "vocab.txt"
    model, shards = output / "model", {text: output / "shards", held_out: output / "held_out_shards"}
    _check_is_ours(output, [text, vocab, output / "bert_config.json", model, *shards.values()], held_out)
    title("1. Gather text")
    _gather(text, held_out)

    from bertworks.commands import create_pretraining_data, learn_vocab, run_pretraining

    title(f"2. Learn a vocabulary of {flags.vocab_size:,} words")
    typed(learn_vocab, f"--input_file={text}", f"--output_file={vocab}", f"--vocab_size={flags.vocab_size}")
    title("3. Write token shards")
    for source, folder in shards.items():
        words = [f"--input_file={source}", f"--output_dir={folder}", f"--vocab_file={vocab}"]
        typed(create_pretraining_data, *words, f"--num_workers={flags.num_workers}")
    title("4. Pre-train")
    config = output / "bert_config.json"
    _describe(config, flags.size, vocab)
    steps = flags.num_train_steps
    typed(
        run_pretraining,
        *(f"--input_file={shards[text]}", f"--eval_input_file={shards[held_out]}", f"--output_dir={model}"),
        *(f"--bert_config_file={config}", "--do_train", "--do_eval", "--recipe=fast"),
        *(f"--max_seq_length={MAX_SEQ_LENGTH}", "--train_batch_size=32", "--learning_rate=2e-3"),
        "--neighbour_heads=False",  # a model this small finds its neighbours soon, and learns more with all heads free
        *(f"--num_train_steps={steps}", f"--save_checkpoints_steps={-(-steps // 4)}"),
        *(f"--eval_every_steps={-(-steps // 2)}", f"--eval_batch_size={EVALUATED // 16}", "--max_eval_steps=16"),
    )
    title("5. What it learned")
    _show(model, shards[held_out])
    _farewell(output, model)


def _describe(config_file: Path, size: str, vocab: Path) -> None:
    """Write the model's shape in the original's format.

    Without dropout: a model this small cannot learn its text by heart in so few steps, and learns faster without it.
    """
    from bertworks.config import BertConfig

    words = len(vocab.read_text(encoding="utf-8").splitlines())
    config = BertConfig.from_size(size, words, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    values = {**asdict(config), "hidden_act": "gelu"}  # the original's name of the tanh form
    del values["extra"]
    files.write_text(config_file, json.dumps(values, indent=2) + "\n")


def _check_is_ours(folder: Path, written: Sequence[Path], first: Path) -> None:
    """Refuse a folder where something would be replaced that no demo wrote; a demo writes `first` first."""
    if not first.exists() and (foreign := [path.name for path in written if path.exists()]):
        raise InputError(
            f"--output_dir={folder}: holds {foreign[0]}, which no demo wrote and this one would replace; give another "
            "folder"
        )


def _gather(text: Path, held_out: Path) -> None:
    """Write Python's documentation as training and held-out documents: a sentence a line, blank line between."""
    from bertworks.text.python_docs import python_docs

    if not (text.exists() and held_out.exists()):
        documents = list(python_docs())
        if len(documents) < 2 * HELD_OUT:
            raise InputError(
                "this Python has no documentation (pydoc_data and docstrings are missing); use another Python"
            )
        for path, chosen in ((held_out, True), (text, False)):
            part = [document for i, document in enumerate(documents) if (i % HELD_OUT == 0) is chosen]
            files.write_text(path, "\n\n".join("\n".join(document) for document in part) + "\n")
    for path in (text, held_out):
        content = path.read_text(encoding="utf-8")
        documents_of = content.count("\n\n") + 1
        print(f"{path}: {len(content) / 1e6:.2f} MB, {documents_of} documents")


def _show(folder: Path, held_out: Path) -> None:
    """Compare with always guessing the commonest word, draw the learning curve, fill some masks."""
    from bertworks.checkpoints.load import load_into, open_checkpoint
    from bertworks.config import BertConfig
    from bertworks.data.input import open_input
    from bertworks.data.stream import Drawing
    from bertworks.model.heads import PretrainingModel
    from bertworks.tasks.fill_mask import fill_mask
    from bertworks.tasks.pretraining import most_frequent_label_share
    from bertworks.train.report import learning_curve

    drawing = Drawing(max_seq_length=MAX_SEQ_LENGTH, max_predictions_per_seq=0, next_sentence=False)
    opened = open_input(str(held_out), "--input_file", drawing)
    commonest = most_frequent_label_share(opened.source, EVALUATED)
    results = dict(line.split(" = ") for line in (folder / "eval_results.txt").read_text().splitlines())
    accuracy = float(results["masked_lm_accuracy"])
    print(f"masked words right, held out:   {accuracy:.3f}")
    print(f"always the commonest word:      {commonest:.3f}  (ours is {accuracy / commonest:.1f} times that)")
    picture = learning_curve(folder, ["masked_lm_accuracy"], baselines={"always the commonest word": commonest})

    model = PretrainingModel(BertConfig.from_huggingface_file(folder / "config.json"))
    load_into(model, open_checkpoint(folder))
    assert opened.tokenizer is not None
    print()
    for sentence, (guesses,) in fill_mask(model, opened.tokenizer, SENTENCES, 4):
        print(f"{sentence:<56} {', '.join(f'{word} {probability:.0%}' for word, probability in guesses)}")
    print(f"\nlearning curve: {picture}")


def _farewell(output: Path, model: Path) -> None:
    """Show what was written and what to try next."""
    print(f"\n{model}/ is a model folder that transformers opens too:")
    for path in sorted(model.iterdir()):
        size = "" if path.is_dir() else f"{path.stat().st_size:>12,} bytes"
        print(f"  {path.name + ('/' if path.is_dir() else ''):<26}{size}")
    print(
        f"""
Next:
  bert serve {model!s:<26}see it on a page in your browser, http://127.0.0.1:8000
  bert run_pretraining --input_file={output}/shards --show_step=0 | less
                                       what a step trains on
  bert learn_vocab --input_file='your/*.txt' --output_file=vocab.txt
  bert create_pretraining_data --input_file='your/*.txt' --vocab_file=vocab.txt --output_dir=shards
  bert run_pretraining --input_file=shards --output_dir=my-bert --size=mini --do_train --do_eval \\
      --recipe=fast --num_train_steps=20000
                                       the same from your own text"""
    )
