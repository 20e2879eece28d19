"""`bertworks.load`: a model of any format, ready to use. Each method is one line into `tasks/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.checkpoints import names, shapes
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import LoadReport, check_fits, is_copy, load_into, open_checkpoint
from bertworks.checkpoints.resolve import config_for, guesses, named_checkpoint, tokenizer_of
from bertworks.checkpoints.sentences import save_sentence_rules
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.flag_groups import MachineFlags, ModelFlags, Precision, warn_of_retired
from bertworks.model.device import choose_device, choose_precision, limit_threads
from bertworks.model.heads import (
    EncoderModel,
    PretrainingModel,
    SequenceClassifier,
    SpanClassifier,
    TokenClassifier,
    initialise,
)
from bertworks.model.kept_weights import keep_weights
from bertworks.progress import say
from bertworks.tasks.attentions import Attentions, compute_attentions
from bertworks.tasks.classification.classify import Classified, classify
from bertworks.tasks.embed import features
from bertworks.tasks.embed.sentences import embed_sentences, rules_followed
from bertworks.tasks.explain.decisions import explain
from bertworks.tasks.explain.explanation import Explanation
from bertworks.tasks.fill_mask import Guess, fill_mask
from bertworks.tasks.ner.tag import Entity, TagOptions, tag
from bertworks.tasks.squad.answering import Answered, AnswerOptions, Texts, answer
from bertworks.tasks.texts import Text, checked_texts
from bertworks.text.tokenizer import Tokenizer

Head = TypeVar("Head", SequenceClassifier, TokenClassifier, SpanClassifier)
Model = PretrainingModel | SequenceClassifier | TokenClassifier | SpanClassifier | EncoderModel

# What trains each head.
_COMMANDS = {SequenceClassifier: "run_classifier", TokenClassifier: "run_ner", SpanClassifier: "run_squad"}


@dataclass(frozen=True)
class Pretrained:
    """A model that has been loaded, with what belongs to it.

    Attributes:
        tokenizer: over its vocabulary, with its casing.
        model: with the head that the weights have, for masked words, a classifier of sequences or tokens, or one that
            answers questions; `.bert` is the encoder of any.
        device, dtype: what it computes on and in.
    """

    config: BertConfig
    tokenizer: Tokenizer
    model: Model
    device: torch.device
    dtype: torch.dtype
    report: LoadReport
    checkpoint: Checkpoint

    def embed(
        self,
        texts: str | Sequence[str],
        layers: Sequence[int] = features.POOLED_LAYERS,
        pooling: features.Pooling | None = None,
        max_seq_length: int | None = None,
        normalize: bool = False,
    ) -> NDArray[np.float32]:
        """Return one vector for each text, float32 [N, K]; for one text, its vector [K].

        K is the hidden size times the number of layers. Without layers and pooling, a folder of sentence-transformers
        is followed in all: prompt, length, pooling, and the layers after it. Other models are pooled by the mean.

        Args:
            normalize: whether vectors get the length 1, so that their products are cosines.
        """
        if isinstance(texts, str):
            vector: NDArray[np.float32] = self.embed([texts], layers, pooling, max_seq_length, normalize)[0]
            return vector
        texts = checked_texts(texts, pairs=False)
        rules, model = rules_followed(self.checkpoint.sentences, layers, pooling), self.model.bert
        if rules:
            of = self.tokenizer, texts, rules, self.checkpoint.path
            vectors = embed_sentences(model, *of, max_seq_length=max_seq_length, dtype=self.dtype)
        else:
            vectors = features.embed(
                model,
                self.tokenizer,
                texts,
                layers=layers,
                pooling=pooling or "mean",
                max_seq_length=max_seq_length,
                dtype=self.dtype,
            )
        return features.normalized(vectors) if normalize else vectors

    def fill_mask(self, text: str, top_k: int = 5) -> list[list[Guess]]:
        """For each [MASK] of a text the `top_k` best (word, probability); many texts: `tasks.fill_mask.fill_mask`."""
        ((_, guesses),) = fill_mask(self.masked_words(), self.tokenizer, [text], top_k, self.dtype)
        return guesses

    @overload
    def classify(self, texts: str, max_seq_length: int | None = None) -> Classified: ...  # type: ignore[overload-overlap]
    @overload
    def classify(self, texts: Sequence[Text], max_seq_length: int | None = None) -> list[Classified]: ...
    def classify(self, texts: str | Sequence[Text], max_seq_length: int | None = None) -> Classified | list[Classified]:
        """Return the label of each text, or pair of texts, and the probability of every class."""
        if isinstance(texts, str):
            return self.classify([texts], max_seq_length)[0]
        return classify(self._with(SequenceClassifier), self.tokenizer, texts, max_seq_length, self.dtype)

    @overload
    def tag(self, texts: str, **options: Unpack[TagOptions]) -> list[Entity]: ...  # type: ignore[overload-overlap]
    @overload
    def tag(self, texts: Sequence[str], **options: Unpack[TagOptions]) -> list[list[Entity]]: ...
    def tag(self, texts: str | Sequence[str], **options: Unpack[TagOptions]) -> list[Entity] | list[list[Entity]]:
        """Return the entities of each text, or of one text; see `tasks.ner.tag.tag` for the options."""
        if isinstance(texts, str):
            return self.tag([texts], **options)[0]
        return tag(self._with(TokenClassifier), self.tokenizer, texts, self.dtype, **options)

    @overload
    def answer(  # type: ignore[overload-overlap]
        self, question: str, context: str | Sequence[str] | Texts, top_k: int = 3, **options: Unpack[AnswerOptions]
    ) -> Answered: ...
    @overload
    def answer(
        self,
        question: Sequence[str],
        context: str | Sequence[str] | Texts,
        top_k: int = 3,
        **options: Unpack[AnswerOptions],
    ) -> list[Answered]: ...
    def answer(
        self,
        question: str | Sequence[str],
        context: str | Sequence[str] | Texts,
        top_k: int = 3,
        **options: Unpack[AnswerOptions],
    ) -> Answered | list[Answered]:
        """Return the best answers to one question, or to each of several, in one text or several.

        See `tasks.squad.answering.answer` for the options.
        """
        model = self._with(SpanClassifier)
        if isinstance(question, list | tuple):
            # The texts are tokenized once.
            texts = context if isinstance(context, Texts) else Texts(self.tokenizer, context)
            return [self.answer(one, texts, top_k, **options) for one in question]
        assert not isinstance(question, Sequence) or isinstance(question, str)
        return answer(model, self.tokenizer, question, context, top_k=top_k, dtype=self.dtype, **options)

    def explain(self, text: Text, label: str | None = None, max_seq_length: int | None = None) -> list[Explanation]:
        """Return what each word contributed to the class, to each entity, or to the answer (a question and a text)."""
        return explain(self.model, self.tokenizer, text, label, max_seq_length)

    def attentions(self, text: str, text_pair: str | None = None) -> Attentions:
        """Return every attention probability and hidden state for one text or two, computed plainly in float32."""
        return compute_attentions(self.model.bert, self.tokenizer, text, text_pair)

    def save(self, folder: Path | str) -> None:
        """Write a model folder that everybody can open, of what was loaded: nothing that was freshly drawn.

        Of a folder of sentence-transformers its pooling, what follows it, its length and its prompts are kept.
        """
        loaded = {name: tensor for name, tensor in self.model.state_dict().items() if name in self.report.loaded}
        save_model_folder(folder, self.config, loaded, shapes.recognised(loaded))
        self.tokenizer.save(folder, self.config.longest_sequence)
        if (rules := self.checkpoint.sentences) and rules.refusal:
            say(f"{folder}: not written, because it is not computed here: {rules.refusal} of {self.checkpoint.path}")
        elif rules:
            save_sentence_rules(Path(folder), rules, self.config.hidden_size)

    def masked_words(self) -> PretrainingModel:
        """Return the model, once it is known to have the head for masked words.

        Raises:
            InputError: it has none.
        """
        lacks_it = any(name.startswith("cls.predictions.") for name in self.report.missing)
        if not isinstance(self.model, PretrainingModel) or lacks_it:
            raise InputError(
                f"{self.checkpoint.path}: has no head for masked words; use a model with its pre-training heads"
            )
        return self.model

    def _with(self, head: type[Head]) -> Head:
        """Return the model, once it is known to have this head."""
        if not isinstance(self.model, head):
            wanted = "qa_outputs" if head is SpanClassifier else "classifier"
            others = [
                weight.stored_as
                for weight in self.checkpoint.weights.values()
                if weight.stored_as in self.report.left_over and weight.shape[1:] == (self.config.hidden_size,)
            ]
            renamed = f"; if {names.some(others)} is its head, rename it to {wanted}.weight" if others else ""
            raise InputError(
                f"{self.checkpoint.path}: is a {type(self.model).__name__}, not a {head.__name__}; fine-tune it first "
                f"(bert {_COMMANDS[head]}){renamed}"
            )
        return self.model

    def __repr__(self) -> str:
        """The load report."""
        return str(self.report)


def load(
    model: Path | str | Checkpoint,
    *,
    device: str = "auto",
    precision: str = "fp32",
    do_lower_case: bool | None = None,
    hidden_act: str | None = None,
    vocab_file: Path | str | None = None,
    bert_config_file: Path | str | None = None,
) -> Pretrained:
    """Open a BERT of any format, by name, folder, file or zip, and load its weights.

    Args:
        model: see `checkpoints.load.open_checkpoint`; or what it gave.
        device: auto (CUDA if there is one), cpu, cuda or cuda:N.
        precision: fp32, bf16, or auto: bf16 where the hardware multiplies it natively.
        do_lower_case: None follows the model; it is True if the model does not say, as in the original.
        hidden_act: None follows the model; `gelu` is the erf form, `gelu_new` the tanh form.
        vocab_file: the vocabulary, if there is none next to the weights.
        bert_config_file: the configuration in Google's dialect, if there is none next to the weights.

    Raises:
        InputError: nothing there, damaged, not a BERT, or parts that do not fit each other.
    """
    checkpoint = model if isinstance(model, Checkpoint) else open_checkpoint(model, "--model")
    config = config_for(checkpoint, bert_config_file, hidden_act)
    tokenizer = tokenizer_of(checkpoint, vocab_file, do_lower_case)
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"--vocab_file: {tokenizer.vocab_file} has {tokenizer.vocab_size:,} words, the model only "
            f"{config.vocab_size:,}; give the vocabulary that came with {checkpoint.path}"
        )
    check_fits(checkpoint, config)
    place = choose_device(device)
    limit_threads()
    network = _model_for(checkpoint, config)
    report = load_into(network, checkpoint, config)
    initialise(network, config.initializer_range, 0, report.missing)
    notes = guesses(checkpoint, config, tokenizer, bert_config_file, do_lower_case)
    report = replace(report, do_lower_case=tokenizer.do_lower_case, notes=(*report.notes, *notes))
    dtype = choose_precision(precision, place)
    network = network.to(place).eval()
    keep_weights(network)
    return Pretrained(config, tokenizer, network, place, dtype, report, checkpoint)


def _model_for(checkpoint: Checkpoint, config: BertConfig) -> Model:
    """Return a model with the head that a checkpoint has, nothing of it loaded."""
    weights = checkpoint.weights
    if "qa_outputs.weight" in weights:
        return SpanClassifier(config)
    if (head := weights.get("classifier.weight")) and len(head.shape) == 2:
        if checkpoint.architecture == "BertForTokenClassification":
            return TokenClassifier(config, head.shape[0], crf="crf.transitions" in weights)
        return SequenceClassifier(config, head.shape[0])
    has_words = any(name.startswith("cls.predictions.") for name in weights)
    # An output embedding of its own belongs to a head that no BERT has.
    has_words = has_words and all(is_copy(checkpoint, name) for name in names.TIED if name in weights)
    return PretrainingModel(config) if has_words else EncoderModel(config)


def load_model(flags: ModelFlags, precision: Precision = "fp32") -> Pretrained:
    """Load the model that the flags name, on their device or on the CPU, and say what it is.

    Raises:
        InputError: flags that contradict each other, or a model that cannot be loaded.
    """
    machine = flags if isinstance(flags, MachineFlags) else MachineFlags(device="cpu")
    pretrained = load(
        named_checkpoint(flags.model, flags.init_checkpoint),
        device=machine.device,
        precision=precision,
        do_lower_case=flags.do_lower_case,
        hidden_act=flags.hidden_act,
        vocab_file=flags.vocab_file,
        bert_config_file=flags.bert_config_file,
    )
    say(pretrained.report.shown(verbose=machine.verbose))
    warn_of_retired(machine, pretrained.device)
    return pretrained
