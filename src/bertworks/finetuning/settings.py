"""From flags to settings: what a person gave, what a task publishes, what a trained model remembers, in that order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.finetuning.flags import FinetuningFlags
from bertworks.flags import describe

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask

FlagsType = TypeVar("FlagsType", bound=FinetuningFlags)


@dataclass(frozen=True)
class Settings(Generic[FlagsType]):
    """Flags with every value resolved.

    Attributes:
        flags: the flags, with the values filled in that were not given.
        sources: flag -> where its value comes from, for the values that are filled in.
    """

    flags: FlagsType
    sources: Mapping[str, str]

    def __str__(self) -> str:
        """One line for each place that values come from."""
        return "\n".join(
            f"{source}: {' '.join(_shown(name, self.flags) for name, s in self.sources.items() if s == source)}"
            for source in dict.fromkeys(self.sources.values())
        )


def resolve(flags: FlagsType, config: BertConfig, task: KnownTask | None = None) -> Settings[FlagsType]:
    """Fill in the flags that were not given.

    In training of a task known by name they take the values that its authors published, if the table applies them.
    Without training they take the values in the model's config.json (`fine_tuning`).

    Raises:
        InputError: config.json holds a value that the flag cannot have.
    """
    if flags.do_train:
        found, source = _published(task, config)
    else:
        found, source = _remembered(flags, config), "From the model's config.json"
    new = {name: value for name, value in found.items() if not flags.was_given(name)}
    changed = [name for name, value in new.items() if flags.do_train or value != getattr(flags, name)]
    return Settings(replace(flags, **new), dict.fromkeys(changed, source))


def _published(task: KnownTask | None, config: BertConfig) -> tuple[dict[str, Any], str]:
    if task is None or not task.settings.applied:
        return {}, ""
    published = dict(task.settings.flags)
    published["max_seq_length"] = min(published["max_seq_length"], config.max_position_embeddings)
    return published, f"{task.name}: trained as published ({task.settings.source})"


def _remembered(flags: FinetuningFlags, config: BertConfig) -> dict[str, Any]:
    found = {}
    for name, flag in describe(type(flags)).items():
        if flag.remembered and not flags.was_given(name):
            value = config.fine_tuned(name, flag.kind)
            if value is not None:
                found[name] = flag.convert(str(value), f"config.json: fine_tuning: {name}")
    return found


def _shown(name: str, flags: FinetuningFlags) -> str:
    value = getattr(flags, name)
    return f"--{name}={value:g}" if isinstance(value, float) else f"--{name}={value}"


def adapted(flags: FinetuningFlags, config: BertConfig) -> BertConfig:
    """Return the model's configuration with the dropout asked for, and the settings that it is to remember.

    Raises:
        InputError: --max_seq_length is beyond its positions, or --freeze_layers beyond its layers.
    """
    if flags.max_seq_length > config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={flags.max_seq_length}: the model has {config.max_position_embeddings} positions"
        )
    if flags.freeze_layers > config.num_hidden_layers:
        raise InputError(f"--freeze_layers={flags.freeze_layers}: the model has {config.num_hidden_layers} layers")
    if flags.dropout is not None:
        config = replace(config, hidden_dropout_prob=flags.dropout, attention_probs_dropout_prob=flags.dropout)
    values = {name: getattr(flags, name) for name, flag in describe(type(flags)).items() if flag.remembered}
    return config.with_fine_tuning({name: value for name, value in values.items() if value is not None})
