"""`bert tag`: the entities of texts, by a model that run_ner has trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.flag_groups import TextFlags
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.tasks.ner.tag import Entity
    from bertworks.tasks.text_input import GivenText


@dataclass(frozen=True, kw_only=True)
class Flags(TextFlags):
    """Find the entities of texts with a model that `bert run_ner` has trained. Texts may be long.

    bert tag "Marta Olsen sails to Porto." --model=FOLDER
    bert tag --input_file=notes.txt --model=FOLDER --format=jsonl --output_file=entities.jsonl
    bert tag --input_file='notes/*.txt' --whole_files --model=FOLDER --format=brat --output_file=brat
    """

    shown_first = "text input_file whole_files model format output_file"

    unit: Literal["word", "character"] | None = flag(
        None, "What the model tags; by default as in its training, else words.", group="Input"
    )
    max_seq_length: int | None = flag(
        None, "The longest window, in tokens; by default as in training.", group="Input", lowest=3, alias="max_len"
    )
    whole_files: bool = flag(False, "Each file is one text, whatever its lines.", group="Input")
    scores: Literal["product", "minimum"] = flag(
        "product",
        "The probability of an entity: the product of those of the tags of its words, or the lowest of them.",
        group="Output",
    )
    format: Literal["table", "jsonl", "conll", "spacy", "brat"] = flag(
        "table",
        "A table for people; JSON lines; words and tags as CoNLL; spaCy's documents; a folder of BRAT (--output_file).",
        group="Output",
    )


def main(flags: Flags) -> None:
    """Look at the input, load the model, tag, print or write."""
    from collections.abc import Iterator

    from bertworks import files
    from bertworks.progress import say
    from bertworks.tasks.text_input import source_of

    if flags.format == "brat" and not flags.output_file:
        raise InputError("--format=brat: writes a .txt and a .ann for each text; give the folder as --output_file")
    source = source_of(flags, whole_files=flags.whole_files, into_folder=flags.format == "brat")
    from bertworks.pretrained import load_model

    pretrained = load_model(flags, flags.precision)
    unit = flags.unit or pretrained.config.fine_tuned("unit", str) or "word"

    def tagged() -> Iterator[tuple[GivenText, Sequence[Entity]]]:
        for block in source.blocks(say):
            texts = [text.text for text in block]
            found = pretrained.tag(texts, unit=flags.unit, max_seq_length=flags.max_seq_length, scores=flags.scores)
            yield from zip(block, found, strict=True)

    if flags.format == "brat":
        _write_brat(Path(flags.output_file or ""), tagged())
    else:
        files.write_or_print(flags.output_file, (_shown(text, found, flags.format, unit) for text, found in tagged()))


def _shown(text: GivenText, entities: Sequence[Entity], form: str, unit: str) -> str:
    """Return a text with its entities, as lines."""
    import json

    if form == "jsonl":
        return json.dumps({**text.values, "entities": entities}, ensure_ascii=False) + "\n"
    if form in ("conll", "spacy"):
        from bertworks.tasks.ner.entities import EntitySpan
        from bertworks.tasks.ner.outputs import columns_of, spacy_line
        from bertworks.tasks.ner.words import words_of

        spans = [EntitySpan(one.type, one.begin, one.end) for one in entities]
        if form == "spacy":
            return spacy_line(text.text, spans)
        words = words_of(text.text, "character" if unit == "character" else "word")
        return "".join(f"{word} {tag}\n" for word, tag in columns_of(text.text, words, spans)) + "\n"
    lines = [text.text]
    width = max((len(one.type) for one in entities), default=0)
    for one in entities:
        shown = " ".join(one.text.split())
        lines.append(f"  {one.type:<{width}}  {one.score:7.2%}  {shown}  (characters {one.begin}-{one.end})")
    return "\n".join(lines) + "\n\n"


def _write_brat(folder: Path, tagged: Iterable[tuple[GivenText, Sequence[Entity]]]) -> None:
    """Write a folder of BRAT: NAME.txt and NAME.ann for each text, named after its file, or by number."""
    from bertworks import files
    from bertworks.tasks.ner.entities import EntitySpan
    from bertworks.tasks.ner.outputs import brat_lines

    with files.folder_written_whole(folder) as made:
        used: set[str] = set()
        for number, (text, entities) in enumerate(tagged, 1):
            name = text.name if text.name and text.name not in used else f"{number:06}"
            used.add(name)
            spans = [EntitySpan(one.type, one.begin, one.end) for one in entities]
            (made / f"{name}.txt").write_text(text.text, encoding="utf-8", newline="")
            (made / f"{name}.ann").write_text(brat_lines(text.text, spans), encoding="utf-8")
    print(f"Wrote {len(used):,} texts with their entities to {folder}")
