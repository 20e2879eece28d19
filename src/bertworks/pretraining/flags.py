"""The flags of pre-training: those of the original and their kin, and those that depart from its recipe."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

from bertworks.flag_groups import Precision, TrainingMachineFlags
from bertworks.flags import REQUIRED, CommandFlags, flag

Objective = Literal["masked_lm", "causal_lm"]


@dataclass(frozen=True, kw_only=True)
class OriginalFlags(CommandFlags):
    """What to train on, which model, how long, and what to evaluate: the original's flags, and more of their kind."""

    input_file: str = flag(
        REQUIRED,
        "The data to train on: a folder of shards that create_pretraining_data wrote, shard files, or "
        "TFRecord files; or text files, whose shards are then written to OUTPUT_DIR/shards first. Several with commas "
        "between, and globs.",
        group="Input",
        path=True,
    )
    eval_input_file: str | None = flag(
        None, "The data to evaluate on; by default --input_file.", group="Input", path=True
    )
    vocab_file: str | None = flag(
        None, "The vocabulary. Shards have their own, and this one must be the same.", group="Input", path=True
    )
    do_lower_case: bool | None = flag(
        None,
        "Whether the text of TFRecord files of other programs is lower-cased; by default as the model says, or True. "
        "Other input knows it itself.",
        group="Input",
        alias="do_lower",
    )
    strip_accents: bool | None = flag(
        None, "Whether such files are without accents; by default where text is lower-cased.", group="Input"
    )
    output_dir: str | None = flag(
        None,
        "The model folder to write; it also gets checkpoints, metrics and results.",
        group="Output",
        path="written folder",
    )

    bert_config_file: str | None = flag(
        None,
        "The model's configuration, in the original's format (gelu there is the tanh form).",
        group="Model",
        path=True,
    )
    init_checkpoint: str | None = flag(
        None,
        "The weights to begin with: a TensorFlow checkpoint (prefix), a model folder, or a weights file.",
        group="Model",
        path="or name",
    )
    model: str | None = flag(
        None,
        "The model to begin with, instead of the two flags above: a name (`bert models` lists them), a "
        "folder or a zip.",
        group="Model",
        path="or name",
    )
    size: str | None = flag(
        None,
        "Train from scratch a model of this size: tiny, mini, small, medium, base, large, or layers/hidden "
        "such as 4/256.",
        group="Model",
    )

    max_seq_length: int | tuple[int, ...] = flag(
        128,
        "The longest instance, in tokens; several, such as 128,512: see --phase_shares.",
        group="Instances",
        listed=True,
    )
    max_predictions_per_seq: int = flag(
        20, "The most masked words of an instance; 0: as many as --masked_lm_prob says.", group="Instances", lowest=0
    )
    masked_lm_prob: float | tuple[float, ...] = flag(
        0.15,
        "The share of the tokens to mask (shards only); several, such as 0.3,0.15: see --phase_shares.",
        group="Instances",
        lowest=0,
        listed=True,
    )
    short_seq_prob: float = flag(
        0.1, "The share of documents cut into shorter instances (shards only).", group="Instances", lowest=0
    )
    do_whole_word_mask: bool = flag(False, "Mask whole words rather than pieces (shards only).", group="Instances")
    next_sentence: bool = flag(
        True,
        "Learn whether the second of two texts follows; False: contiguous text fills each instance (shards only).",
        group="Instances",
    )
    random_seed: int = flag(12345, "Seed of instances, masks, dropout and new weights.", group="Instances", lowest=0)
    show_step: int | None = flag(None, "Print the instances of this step and exit.", group="Instances", lowest=0)

    do_train: bool = flag(False, "Train the model.", group="Training")
    train_batch_size: int | tuple[int, ...] = flag(
        32,
        "Instances in each training step, over all processes and micro-batches; several: see --phase_shares.",
        group="Training",
        lowest=1,
        listed=True,
    )
    learning_rate: float = flag(5e-5, "The peak of the learning rate.", group="Training", lowest=0)
    num_train_steps: int = flag(100000, "How many steps the whole training has.", group="Training", lowest=1)
    num_warmup_steps: int = flag(
        10000, "Steps in which the learning rate rises to its peak, in a line.", group="Training", lowest=0
    )
    optimizer: Literal["adam", "adamw", "lamb", "muon"] = flag(
        "adam",
        "adam is the original's, without bias correction; adamw has it; lamb is for batches of thousands; muon is for "
        "the matrices of the layers, with adamw for the rest.",
        group="Training",
    )
    weight_decay: float = flag(0.01, "Decay of all weights but biases and LayerNorm.", group="Training", lowest=0)
    save_checkpoints_steps: int = flag(1000, "Steps between checkpoints.", group="Training", lowest=0)
    keep_checkpoint_max: int = flag(5, "How many checkpoints to keep.", group="Training", lowest=1)
    log_every_steps: int = flag(
        10, "Steps between lines of metrics.jsonl; each line is a mean over them.", group="Training", lowest=0
    )

    do_eval: bool = flag(False, "Evaluate the model at the end.", group="Evaluation")
    eval_batch_size: int = flag(8, "Instances in each evaluation batch.", group="Evaluation", lowest=1)
    max_eval_steps: int = flag(100, "How many batches an evaluation has.", group="Evaluation", lowest=1)
    eval_every_steps: int = flag(
        0, "Also evaluate during training, each time after this many steps; 0: do not.", group="Evaluation", lowest=0
    )
    eval_precision: Precision = flag("fp32", "What evaluation computes in; int8 on CPU only.", group="Evaluation")


@dataclass(frozen=True, kw_only=True)
class RecipeFlags(CommandFlags):
    """How the training may depart from the original's. Without these flags it does not."""

    recipe: Literal["fast", "auto"] | None = flag(
        None,
        "A set of flags, of which those that you give are kept: fast is the best that was measured; auto takes it and "
        "chooses size, length, batch and steps for --max_hours.",
        group="Recipe",
    )
    max_hours: float | None = flag(
        None, "With --recipe=auto: the time of the training, measured with a few steps.", group="Recipe", above=0
    )
    phase_shares: float | tuple[float, ...] | None = flag(
        None,
        "What share of the steps each value of a list gets, such as 0.9,0.1 with --max_seq_length=128,512. Flags with "
        "one value keep it.",
        group="Phases",
        above=0,
        highest=1,
        listed=True,
    )
    objective: Objective | tuple[Objective, ...] = flag(
        "masked_lm",
        "What is learned, for each phase: causal_lm predicts each word from those before it, and needs "
        "--next_sentence=False. The last phase is masked_lm.",
        group="Phases",
        listed=True,
    )
    bag_of_words: float = flag(
        0.0,
        "The weight of one more loss: which words a text has, predicted from its pooled first token, which so learns "
        "to hold the text; 0: none. Phases of causal_lm do not have it.",
        group="Instances",
        lowest=0,
    )
    mean_span_length: float = flag(
        0.0,
        "Mask spans of so many words on average before they are cut at 10, as SpanBERT (5 there); 0: no spans.",
        group="Masks",
        lowest=0,
        highest=100,
    )
    mask_all: bool = flag(
        False, "Replace all chosen words by [MASK], rather than 80 % as in the original.", group="Masks"
    )
    eval_masked_lm_prob: float | None = flag(
        None,
        "The share of masked words in evaluation, to compare runs; by default that of the last phase.",
        group="Masks",
        above=0,
        highest=1,
    )
    adam_beta1: float = flag(0.9, "The decay of the mean of gradients.", group="Optimizer", lowest=0, highest=0.999)
    adam_beta2: float = flag(
        0.999, "The decay of the mean of squared gradients.", group="Optimizer", lowest=0, highest=0.9999
    )
    adam_epsilon: float = flag(1e-6, "What is added to the root of that mean.", group="Optimizer", above=0, highest=1)
    matrix_learning_rate: float | None = flag(
        None,
        "The peak of the rate of the matrices with --optimizer=muon, for which it must be given; 0.02 is usual.",
        group="Optimizer",
        above=0,
    )
    muon_momentum: float = flag(0.95, "Muon's momentum.", group="Optimizer", lowest=0, highest=0.9999)
    group_weight_decay: str | None = flag(
        None,
        "Weight decay by group, such as embeddings=0,matrices=0.1; groups: embeddings, matrices, head, "
        "norms_and_biases. Others take --weight_decay (norms_and_biases 0).",
        group="Optimizer",
    )
    schedule: Literal["linear", "cosine", "warmup_stable_decay"] = flag(
        "linear",
        "How the rate falls after the warm-up. warmup_stable_decay stays at the peak and falls over the last "
        "--num_decay_steps; until then another --num_train_steps changes nothing.",
        group="Optimizer",
    )
    num_decay_steps: int = flag(0, "The steps of that fall.", group="Optimizer", lowest=0)
    final_learning_rate: float = flag(0.0, "The rate after the last step.", group="Optimizer", lowest=0)
    average_checkpoints: int = flag(
        0,
        "After training, write the mean of the last so many checkpoints to OUTPUT_DIR/averaged, and evaluate it too; "
        "0: do not.",
        group="Optimizer",
        lowest=0,
    )
    neighbour_heads: bool = flag(
        False,
        "Begin with positions as sinusoids and with heads that attend to the words before and after, rather than with "
        "random ones: they need not be found first.",
        group="Model",
    )
    grow_from: str | None = flag(
        None,
        "Begin with the weights of a smaller model (a name, a folder or a zip): its layers are stacked, its width is "
        "multiplied, and new words begin as the mean of their pieces.",
        group="Model",
        path="or name",
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingFlags(RecipeFlags, OriginalFlags, TrainingMachineFlags):
    """All flags of a pre-training."""

    own: ClassVar[Collection[str]] = (*OriginalFlags.__annotations__, *RecipeFlags.__annotations__)
