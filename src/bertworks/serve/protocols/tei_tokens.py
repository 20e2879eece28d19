"""text-embeddings-inference's `/tokenize` and `/decode`."""

from __future__ import annotations

import numpy as np

from bertworks import ragged
from bertworks.serve.endpoints import Endpoint, Reply
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.protocols.tei import PROTOCOL, check_prompt
from bertworks.serve.protocols.tei_bodies import DecodeBody, SimpleToken, TokenizeBody
from bertworks.serve.reading import check_texts, check_tokens
from bertworks.serve.refusals import Refusal
from bertworks.text.basic import code_points
from bertworks.text.wordpiece import CONTINUES


async def tokenize(engine: Engine, body: TokenizeBody, part: str) -> Reply:
    """Answer `/tokenize`."""
    model = engine.registry.any(body.model)
    check_prompt(model, body.prompt_name)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    check_texts(texts, engine.limits.texts, "inputs")

    def cut() -> list[list[SimpleToken]]:
        # Counting is quick. Finding the bytes of each token is not, and the answer has many objects.
        tokens = len(model.tokenizer.encode_batch(texts)[0]) + 2 * body.add_special_tokens * len(texts)
        check_tokens(tokens, engine.limits.request_tokens)
        return [_tokens(model, text, body.add_special_tokens) for text in texts]

    return Reply(await engine.in_thread(cut), model)


def _tokens(model: ServedModel, text: str, special: bool) -> list[SimpleToken]:
    tokenizer = model.tokenizer
    found = tokenizer.encode_with_offsets(text)
    points = code_points(text)
    sizes = 1 + np.searchsorted([0x80, 0x800, 0x10000], points, "right")  # bytes of each character in UTF-8
    places = ragged.starts(sizes)
    tokens = [
        SimpleToken(number, text[begin:end], False, int(places[begin]), int(places[end]))
        for number, (begin, end) in zip(found.ids.tolist(), found.spans.tolist(), strict=True)
    ]
    if not special:
        return tokens
    ends = [
        SimpleToken(number, tokenizer.tokens[number], True, None, None)
        for number in (tokenizer.cls_id, tokenizer.sep_id)
    ]
    return [ends[0], *tokens, ends[1]]


async def decode(engine: Engine, body: DecodeBody, part: str) -> Reply:
    """Answer `/decode`."""
    model = engine.registry.any(body.model)
    ids = body.ids
    if not ids:
        raise Refusal("empty", "`ids` cannot be empty", "ids")
    several = [ids] if isinstance(ids[0], int) else ids
    if len(several) > engine.limits.texts:
        raise Refusal("too_large", f"has {len(several):,} items; a request may have {engine.limits.texts:,}", "ids")

    def join() -> list[str]:
        return [_text(model, one, body.skip_special_tokens) for one in several]

    return Reply(await engine.in_thread(join), model)


def _text(model: ServedModel, ids: object, skip_special_tokens: bool) -> str:
    """Join pieces to words and words with blanks.

    Raises:
        Refusal: these are not ids of the vocabulary.
    """
    tokenizer = model.pretrained.tokenizer
    if not isinstance(ids, list) or any(type(i) is not int or not 0 <= i < tokenizer.vocab_size for i in ids):
        raise Refusal("invalid", f"an id of a token is from 0 to {tokenizer.vocab_size - 1}", "ids")
    special = {tokenizer.vocab.get(f"[{name}]") for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    words = [tokenizer.tokens[i] for i in ids if not (skip_special_tokens and i in special)]
    return " ".join(words).replace(f" {CONTINUES}", "")


ENDPOINTS = (
    Endpoint("POST", "/tokenize", "The tokens of texts", PROTOCOL, tokenize, TokenizeBody, list[list[SimpleToken]]),
    Endpoint("POST", "/decode", "The text of ids of tokens", PROTOCOL, decode, DecodeBody, list[str]),
)
