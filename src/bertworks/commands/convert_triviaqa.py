"""`bert convert_triviaqa`: TriviaQA's released files in the form of SQuAD, for `run_squad`."""

from __future__ import annotations

from dataclasses import dataclass

from bertworks.flags import REQUIRED, RETIRED, CommandFlags, flag


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Make a file in SQuAD form of one of TriviaQA's, as its authors' convert_to_squad_format.py does.

    Every page that is evidence for a question becomes a document with this question; questions whose answer is not
    found in their page are left out and counted. Fine-tuning on it first makes a better model for SQuAD.
    """

    triviaqa_file: str = flag(
        REQUIRED, "A file of the release's folder qa, such as wikipedia-train.json.", group="Input", path=True
    )
    wikipedia_dir: str | None = flag(
        None,
        "The folder of Wikipedia's pages; by default evidence/wikipedia beside the folder of --triviaqa_file.",
        group="Input",
        path=True,
    )
    web_dir: str | None = flag(
        None,
        "The folder of other pages; by default evidence/web beside the folder of --triviaqa_file.",
        group="Input",
        path=True,
    )
    max_num_tokens: int = flag(800, "Tokens of a page, from its beginning on.", group="Input", lowest=1)
    sample_size: int = flag(80000, "Pages of web-train.json, drawn by chance.", group="Input", lowest=1)
    seed: int = flag(10, "What the chance depends on.", group="Input")
    whole_words: bool = flag(
        True, "Answers begin and end where words do; False: anywhere, as the authors' do.", group="Input"
    )

    squad_file: str = flag(REQUIRED, "The file in SQuAD form.", group="Output", path=True)
    keep_unanswered: bool = flag(
        False,
        "Write questions whose answer is not found, too, without answers: for prediction, and for the test files.",
        group="Output",
    )

    tokenizer: str | None = flag(None, "", group=RETIRED)


def main(flags: Flags) -> None:
    """Look at the file, convert it, and say what was left out."""
    from pathlib import Path

    from bertworks.errors import InputError
    from bertworks.progress import progress, say
    from bertworks.tasks.squad.triviaqa import TriviaConversion, TriviaSettings, contents, write

    path = Path(flags.triviaqa_file)
    if Path(flags.squad_file).is_dir():
        raise InputError(f"--squad_file={flags.squad_file}: is a folder; give a file's name")
    if Path(flags.squad_file).exists() and path.exists() and path.samefile(flags.squad_file):
        raise InputError(f"--squad_file={flags.squad_file}: is --triviaqa_file; give another name")
    folders = {}
    for name, default in (("wikipedia_dir", "wikipedia"), ("web_dir", "web")):
        given = getattr(flags, name)
        if given is not None and not Path(given).is_dir():
            raise InputError(f"--{name}={given}: no such folder")
        folders[name] = path.absolute().parent.parent / "evidence" / default if given is None else Path(given)
    settings = TriviaSettings(
        **folders,
        seed=flags.seed,
        max_num_tokens=flags.max_num_tokens,
        sample_size=flags.sample_size,
        whole_words=flags.whole_words,
        keep_unanswered=flags.keep_unanswered,
    )
    known = contents(path)
    conversion = TriviaConversion(path, settings)
    with progress("Converting", known.pages, "pages") as advance:
        write(Path(flags.squad_file), conversion.articles(known, advance))
    say(f"{flags.squad_file}: {conversion.written:,} questions, of {known.pages:,} pages")
    for line in conversion.summary():
        say(line)
