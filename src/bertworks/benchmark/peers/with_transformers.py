"""`transformers` at its best documented settings, and as its example scripts run: training, prediction, encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from bertworks.benchmark.peers.encoding import one_after_the_other, prepared_encoder, setting_name
from bertworks.benchmark.peers.inputs import padded, read_batch
from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.model.device import keep_freed_memory

# As its Trainer has them.
_RATE = 1e-5

# The class for each work, and whether its example script pads every sequence to the longest that there may be
# (run_glue.py and run_qa.py have pad_to_max_length=True, run_mlm.py has not).
_CLASSES = {
    "pretrain": ("BertForPreTraining", False),
    "classify": ("BertForSequenceClassification", True),
    "span": ("BertForQuestionAnswering", True),
    "predict": ("BertForQuestionAnswering", True),
}


def prepare(order: Order) -> Prepared:
    """Prepare what the order asks for."""
    torch.set_num_threads(order.threads)
    return {"encode": _encoding, "latency": _encoding, "predict": _prediction}.get(order.work, _training)(order)


def _loaded(order: Order, name: str) -> Any:
    """Return the model; its activation is the one that a single operator computes, of two names for the tanh form."""
    config = transformers.BertConfig.from_pretrained(order.model)
    if config.hidden_act == "gelu_new" and order.setting != "defaults":
        config.hidden_act = "gelu_pytorch_tanh"
    # "defaults" leaves the kind of attention to the library.
    chosen = {} if order.setting == "defaults" else {"attn_implementation": "sdpa"}
    model = getattr(transformers, name).from_pretrained(order.model, config=config, dtype=torch.float32, **chosen)
    return model.to(order.device)


def _inputs(order: Order, pads_to_most: bool) -> dict[str, Tensor]:
    """Return the shared batch, padded to its longest sequence or, as some example scripts do, to the most tokens."""
    arrays = read_batch(order.folder)
    length = order.max_seq_length if pads_to_most and order.setting == "defaults" else 0
    values = padded(arrays, length)
    if order.work == "pretrain":
        values["next_sentence_label"] = arrays["sequence_labels"]
    else:
        del values["labels"]
    if order.work == "classify":
        values["labels"] = arrays["sequence_labels"]
    if order.work == "span":
        values["start_positions"], values["end_positions"] = arrays["positions"].T
    return {name: torch.from_numpy(array.copy()).to(order.device) for name, array in values.items()}


def _training(order: Order) -> Prepared:
    """One optimizer step: forward, backward, clipping to a norm of 1, AdamW."""
    is_default = order.setting == "defaults"
    kept = not is_default and keep_freed_memory()
    name, pads_to_most = _CLASSES[order.work]
    model = _loaded(order, name).train()
    inputs = _inputs(order, pads_to_most)
    fused = not is_default or "fused" in str(transformers.TrainingArguments.__dataclass_fields__["optim"].default)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, fused=fused)
    autocast = order.precision == "bf16"
    compute: Callable[..., Any] = torch.compile(model) if order.setting == "compiled" else model

    last: list[Tensor] = []

    def one_pass(_: int) -> None:
        with torch.autocast(torch.device(order.device).type, torch.bfloat16, enabled=autocast):
            loss: Tensor = compute(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        last[:] = [loss.detach()]

    shape = inputs["input_ids"].shape
    words = [model.config._attn_implementation, "autocast" if autocast else "", "fused AdamW" if fused else "AdamW"]
    words.append(f"padded to {shape[1]}")
    words += ["freed memory kept"] if kept else []
    return Prepared(
        version=transformers.__version__,
        settings=f"{setting_name(order)}: {', '.join(filter(None, words))}",
        one_pass=one_pass,
        answers=lambda: _answers(model, inputs, order),
        padded_tokens=shape.numel(),
        value=lambda: float(last[0]),
    )


def _answers(model: nn.Module, inputs: Mapping[str, Tensor], order: Order) -> Any:
    """Compute without dropout the losses of pre-training, the logits of classes, or those of starts of answers."""
    autocast = torch.autocast(torch.device(order.device).type, torch.bfloat16, enabled=order.precision == "bf16")
    model.eval()
    with torch.no_grad(), autocast:
        found: Any = model(**inputs)
    model.train()
    if order.work == "classify":
        return found.logits.float().cpu().numpy()
    if order.work == "span":
        return found.start_logits.float().cpu()[_real(inputs)].numpy()
    words = nn.functional.cross_entropy(found.prediction_logits.float().flatten(0, 1), inputs["labels"].flatten())
    pairs = nn.functional.cross_entropy(found.seq_relationship_logits.float(), inputs["next_sentence_label"])
    return [float(words), float(pairs)]


def _real(inputs: Mapping[str, Tensor]) -> Tensor:
    """Return whether each place [B, L] holds a token and no padding."""
    return inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool().cpu()


def _prediction(order: Order) -> Prepared:
    """The logits of answers for a padded batch."""
    model = _loaded(order, _CLASSES["predict"][0]).eval()
    if order.precision == "bf16":
        model = model.bfloat16()
    inputs = _inputs(order, True)
    real = _real(inputs)

    def logits() -> Any:
        with torch.inference_mode():
            return model(**inputs).start_logits.float().cpu()[real].numpy()

    return Prepared(
        version=transformers.__version__,
        settings=f"{setting_name(order)}: {model.config._attn_implementation}, padded to {real.shape[1]}",
        one_pass=lambda number: logits(),
        answers=logits,
        padded_tokens=real.numel(),
    )


def _encoding(order: Order) -> Prepared:
    """Mean of the last layer's tokens."""
    model = _loaded(order, "BertModel").eval()
    if order.precision == "bf16":
        model = model.bfloat16()

    def run(ids: Any, mask: Any) -> Any:
        ids, mask = torch.from_numpy(ids).to(order.device), torch.from_numpy(mask).to(order.device)
        with torch.inference_mode():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            return ((hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)).cpu().numpy()

    engines = {model.config._attn_implementation: one_after_the_other(run)}
    return prepared_encoder(order, engines, transformers.__version__)
