"""`bert`: the table of commands. It imports one command only, so that `bert --help` costs nothing."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from bertworks import __version__
from bertworks.addresses import shown
from bertworks.errors import InputError, printable, told
from bertworks.flags import CommandFlags, describe, parse

# name -> what it does, in the order a newcomer meets them. Each is a module of bertworks.commands with a dataclass
# `Flags` and a function `main(flags)`.
COMMANDS = {
    "demo": "From plain text to a small pre-trained BERT in a few minutes: start here",
    "learn_vocab": "Learn a WordPiece vocabulary from text",
    "create_pretraining_data": "Turn text into token shards, or into the original's TFRecord instances",
    "run_pretraining": "Pre-train BERT: masked words and next sentence, from scratch or from a checkpoint",
    "speedrun": "From text to a BERT in a given time: vocabulary, shards, pre-training by recipe, GLUE, all recorded",
    "models": "List the BERTs that are known by name, and download one",
    "embed": "Compute one vector for each text, from any BERT",
    "extract_features": "Write vectors for texts from any BERT: one for each token, or one for each text",
    "run_classifier": "Train and use a classifier of sentences or pairs: GLUE, CLUE, XNLI, or your own CSV",
    "classify": "Classify your own texts with a model that run_classifier has trained",
    "run_ner": "Train and use a tagger, which finds names in text: CoNLL, CLUENER, or your own columns",
    "tag": "Find the names in your own texts with a model that run_ner has trained",
    "run_multiple_choice": "Train and use a model that chooses the right ending of a text: SWAG",
    "convert_triviaqa": "Convert TriviaQA's files to SQuAD form, to fine-tune on them before SQuAD",
    "run_squad": "Train a model that answers questions from a text, and predict answers: SQuAD 1.1 and 2.0",
    "answer": "Answer questions from your own texts with a model that run_squad has trained",
    "compare": "Compare runs: the flags that differ, the results side by side, and what each gets right",
    "card": "Renew the card of a trained model, README.md in its folder, for people and for hubs",
    "evaluate_squad": "Score SQuAD predictions by exact match and F1, like the official scripts of 1.1 and 2.0",
    "serve": "Serve models over HTTP, for the programs that people have, and show them on a page",
    "download_data": "Download data sets: GLUE, SQuAD, XNLI, CLUE, SWAG, XQuAD, DRCD, CMRC, TriviaQA",
    "fill_mask": "Fill every [MASK] of a text with the words that a model finds most probable",
    "explain": "Say which words moved a model's decision: a class, the entities of a text, or an answer",
    "convert_checkpoint": "Convert a BERT of any format to a model folder or to a TensorFlow checkpoint",
    "export": "Write a model as ONNX or OpenVINO, in float32 or int8, with a certificate of what it computes",
    "benchmark": "Measure speed beside what people use, in turns in one run: tables, JSON, a picture",
}


def usage() -> str:
    """Return the text of `bert --help`."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        f"bertworks {__version__}: BERT, whole and alive\n\n"
        f"usage: bert COMMAND --flag=value ...\n\ncommands:\n{rows}\n\n"
        "bert COMMAND --help lists a command's flags.\n"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 for bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if words is None else words)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if words[0] == "--version":
        print(f"bertworks {__version__}")
        return 0
    name = words[0].replace("-", "_").removesuffix(".py")
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "see bert --help"
        print(f"bert: {words[0]}: no such command; {hint}", file=sys.stderr)
        return 2
    code, message, speaker = _run(name, words[1:])
    if message and os.environ.get("RANK", "0") == str(speaker):  # one of several processes speaks for all
        print(f"bert {name}: {printable(shown(message))}", file=sys.stderr)
    return code


def _run(name: str, words: Sequence[str]) -> tuple[int, str, int]:
    """Run a command.

    Returns:
        the exit code; what to tell the person when it failed in a way that we understand; which process tells it.
    """
    try:
        command = importlib.import_module(f"bertworks.commands.{name}")
        flags = parse(command.Flags, _config_at_hand(words), f"bert {name}")
        if not _has_addresses(flags):
            command.main(flags)
            return 0, "", 0
        from bertworks.remote.at_hand import at_hand

        with at_hand(flags) as local:
            command.main(local)
    except InputError as error:
        return 2, str(error), error.speaker
    except BrokenPipeError:
        # Whoever read our output left (`bert ... | head`); point stdout elsewhere so that closing it is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141, "", 0
    except OSError as error:
        message = told(error)
        if message is None:
            raise
        return 2, message, 0
    except KeyboardInterrupt:
        return 130, "interrupted", 0
    return 0, "", 0


def _config_at_hand(words: Sequence[str]) -> Sequence[str]:
    """Return the words with a local file where `--config` has an address."""
    if not any("://" in word for word in words):
        return words
    from bertworks.remote.at_hand import config_at_hand

    return config_at_hand(words)


def _has_addresses(flags: CommandFlags) -> bool:
    """Tell whether a flag names a file elsewhere."""
    paths = (getattr(flags, name) for name, described in describe(type(flags)).items() if described.path)
    return any("://" in path for path in paths if isinstance(path, str))
