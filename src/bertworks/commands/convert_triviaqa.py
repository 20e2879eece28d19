"""`bert convert_triviaqa`: convert TriviaQA's released files to SQuAD form, for `run_squad`."""

from __future__ import annotations

from dataclasses import dataclass

from bertworks.flags import REQUIRED, RETIRED, CommandFlags, flag


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Convert a file of TriviaQA to SQuAD form, as its authors' convert_to_squad_format.py does.

    Every page that is evidence for a question becomes a document with this question. Questions whose answer is not
    found in their page are left out and counted. A model that is first fine-tuned on the result is better at SQuAD.
    """

    triviaqa_file: str = flag(
        REQUIRED, "A file of the release's folder qa, such as wikipedia-train.json.", group="Input", path=True
    )
    wikipedia_dir: str | None = flag(
        None,
        "The folder of Wikipedia's pages; by default evidence/wikipedia next to the folder of --triviaqa_file.",
        group="Input",
        path=True,
    )
    web_dir: str | None = flag(
        None,
        "The folder of other pages; by default evidence/web next to the folder of --triviaqa_file.",
        group="Input",
        path=True,
    )
    max_num_tokens: int = flag(
        800, "How many tokens to keep of each page, from its beginning.", group="Input", lowest=1
    )
    sample_size: int = flag(
        80000, "How many pages to keep of web-train.json, as a random sample.", group="Input", lowest=1
    )
    seed: int = flag(10, "The seed of the sample.", group="Input")
    whole_words: bool = flag(
        True, "Answers begin and end where words do; False: anywhere, as in the authors' script.", group="Input"
    )

    squad_file: str = flag(REQUIRED, "The file to write, in SQuAD form.", group="Output", path="written")
    keep_unanswered: bool = flag(
        False,
        "Also write questions whose answer is not found, without answers: for prediction, and for the test files.",
        group="Output",
    )

    tokenizer: str | None = flag(None, "", group=RETIRED)


def main(flags: Flags) -> None:
    """Run the command."""
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
