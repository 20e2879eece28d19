"""The shapes that texts with entities have in JSON.

CLUENER       {"text": "...", "label": {type: {mention: [[first, last], ...]}}}
doccano       {"text": "...", "label": [[begin, end, type], ...]}, or "entities" of objects with start_offset
spaCy         ["...", {"entities": [[begin, end, type], ...]}], or {"text": "...", "ents": [{"start", "end", "label"}]}
prodigy       {"text": "...", "spans": [{"start", "end", "label"}, ...], "answer": "accept"}
Label Studio  {"data": {"text": "..."}, "annotations": [{"result": [{"value": {"start", "end", "labels"}}, ...]}]}
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bertworks.errors import InputError
from bertworks.tasks.ner.json_values import JsonValue, is_pair

# What annotation tools call the list of entities; "label" and "labels" of an object are CLUENER's.
_LISTS = ("label", "labels", "entities", "spans", "ents", "annotations")
_BEGINS = ("start", "start_offset", "begin", "start_char")
_ENDS = ("end", "end_offset", "end_char", "stop")
_TYPES = ("label", "labels", "type", "entity", "entity_group", "tag")
_TEXTS = ("text", "value", "mention", "word")


class AnnotatedSpan(NamedTuple):
    """An entity as a file gives it: type, first character, the one after the last, and its text if the file says it."""

    type: str
    begin: int
    end: int
    mention: str | None = None


@dataclass(frozen=True)
class AnnotationShape:
    """What a value says.

    Attributes:
        name: of the shape, for a person.
        text: as the file has it; None if it has none.
        spans: the entities; None if the value has no list of them.
        id: as the file has it.
        remarks: what is odd.
        is_left_out: whether an annotator says that it is not to be used.
    """

    name: str
    text: Any = None
    spans: Sequence[AnnotatedSpan] | None = None
    id: object = None
    remarks: Sequence[str] = ()
    is_left_out: bool = False


def shape_of(value: JsonValue) -> AnnotationShape:
    """Read a value of any of the shapes.

    Raises:
        InputError: it is not JSON, of no such shape, or its list of entities is not one.
    """
    location, content = value.location, value.parsed()
    if content is None:
        return AnnotationShape("spaCy's annotator", remarks=["is not annotated and is not used"], is_left_out=True)
    if is_pair(content):
        text, annotated = content
        return AnnotationShape("spaCy's pairs", text, _spans(location, "entities", annotated.get("entities")))
    if not isinstance(content, Mapping):
        raise InputError(f"{location}: is no JSON object with a text and its labels")
    if isinstance(content.get("data"), Mapping):
        return _label_studio(location, content)
    text = content.get("text", content.get("data"))
    name = content.get("id")
    known = name if isinstance(name, str | int) and not isinstance(name, bool) else None
    labels = content.get("label")
    if isinstance(labels, Mapping):
        return AnnotationShape("CLUENER's lines", text, _cluener(location, labels), known)
    key = next((key for key in _LISTS if isinstance(content.get(key), list)), None)
    other = next((key for key in ("label", "labels") if content.get(key) is not None), None)
    if key is None and other is not None:
        raise InputError(
            f'{location}: "{other}" is not {{type: {{mention: [[first, last], ...]}}}} or a list of entities'
        )
    called = {"spans": "prodigy's lines", "ents": "spaCy's documents"}.get(key or "", "doccano's lines")
    if content.get("answer") in ("reject", "ignore"):
        remarks = [f"was answered {content['answer']!r} and is not used"]
        return AnnotationShape(called, text, None, known, remarks, is_left_out=True)
    spans = None if key is None else _spans(location, key, content[key])
    return AnnotationShape("texts without entities" if key is None else called, text, spans, known)


def _label_studio(location: str, content: Mapping[str, Any]) -> AnnotationShape:
    """Read a task of Label Studio; of several annotations the first that was not cancelled counts."""
    data, remarks = content["data"], []
    texts = [text for text in data.values() if isinstance(text, str)]
    text = data.get("text", texts[0] if len(texts) == 1 else None)
    found = content.get("annotations", content.get("completions"))
    spans = None
    if isinstance(found, list) and found:
        usable = [one for one in found if isinstance(one, Mapping) and not one.get("was_cancelled")]
        if not usable:
            remarks = ["every annotation was cancelled; it is not used"]
            return AnnotationShape("Label Studio's tasks", text, None, content.get("id"), remarks, is_left_out=True)
        if len(usable) > 1:
            remarks.append(f"has {len(usable)} annotations; the first is used")
        results = usable[0].get("result")
        if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
            raise InputError(f'{location}: "result" is not a list of objects with a value')
        entities = [result for result in results if result.get("type", "labels") in ("labels", "hypertextlabels")]
        spans = _spans(location, "result", [entity.get("value") for entity in entities])
    return AnnotationShape("Label Studio's tasks", text, spans, content.get("id"), remarks)


def _cluener(location: str, labels: Mapping[str, Any]) -> list[AnnotatedSpan]:
    try:
        return [
            AnnotatedSpan(kind, operator.index(first), operator.index(last) + 1, mention)
            for kind, by_mention in labels.items()
            for mention, positions in by_mention.items()
            for first, last in positions
        ]
    except (AttributeError, TypeError, ValueError):
        raise InputError(f'{location}: "label" is not {{type: {{mention: [[first, last], ...]}}}}') from None


def _spans(location: str, key: str, items: object) -> list[AnnotatedSpan] | None:
    """Return the entities of a list of [begin, end, type] or of objects; None if there is no list."""
    if items is None:
        return None
    try:
        return [_span(item) for item in items]  # type: ignore[attr-defined]
    except (LookupError, TypeError, ValueError):
        raise InputError(
            f'{location}: "{key}" is not [[begin, end, type], ...] or a list of objects with start, end and label'
        ) from None


def _span(item: Any) -> AnnotatedSpan:
    """Read an entity. Raises LookupError, TypeError or ValueError if it is none."""
    if isinstance(item, Mapping):
        begin, end, kind = (_value(item, keys) for keys in (_BEGINS, _ENDS, _TYPES))
        mention = next((item[key] for key in _TEXTS if isinstance(item.get(key), str)), None)
    else:
        begin, end, kind = item if not isinstance(item[0], str) else (item[1], item[2], item[0])
        mention = None
    if isinstance(kind, list) and len(kind) == 1:
        kind = kind[0]
    if not isinstance(kind, str) or not kind.strip():
        raise TypeError
    return AnnotatedSpan(kind.strip(), operator.index(begin), operator.index(end), mention)


def _value(item: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return the value of the first of these names that an object has, or raise LookupError."""
    for key in keys:
        if key in item:
            return item[key]
    raise LookupError
