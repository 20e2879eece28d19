"""Phases: which step has which length, batch size, masks and objective; a pure function of the step."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.commands.run_pretraining import Flags
from bertworks.errors import InputError
from bertworks.pretraining.checks import check
from bertworks.pretraining.phases import described, phases_of


def flags(**changes) -> Flags:
    values = {"input_file": "x", "num_train_steps": 100, "num_warmup_steps": 10, "do_train": True}
    return Flags(**{**values, **changes})


def test_one_value_is_one_phase() -> None:
    (only,) = phases_of(flags())
    assert (only.first_step, only.last_step, only.first_instance) == (0, 100, 0)
    assert (only.max_seq_length, only.train_batch_size, only.masked_lm_prob) == (128, 32, 0.15)
    assert described(phases_of(flags())) == []


def test_the_readmes_two_phases() -> None:
    first, last = phases_of(flags(max_seq_length=(128, 512), phase_shares=(0.9, 0.1), train_batch_size=(256, 64)))
    assert (first.first_step, first.last_step, first.max_seq_length, first.train_batch_size) == (0, 90, 128, 256)
    assert (last.first_step, last.last_step, last.max_seq_length, last.train_batch_size) == (90, 100, 512, 64)
    assert first.masked_lm_prob == last.masked_lm_prob == 0.15


@given(
    st.lists(st.tuples(st.integers(1, 20), st.sampled_from([64, 128]), st.integers(1, 9)), min_size=2, max_size=6),
    st.integers(1, 3),
)
def test_instances_of_a_length_are_taken_in_one_order_without_gaps(parts, times) -> None:
    """For every length, the phases' instances are 0, 1, 2, ...: no instance is left out and none comes twice."""
    steps, total = [n for n, _, _ in parts], sum(n for n, _, _ in parts)
    found = phases_of(
        flags(
            num_train_steps=total * times,
            phase_shares=tuple(n / total for n in steps),
            max_seq_length=tuple(length for _, length, _ in parts),
            train_batch_size=tuple(batch for _, _, batch in parts),
        )
    )
    assert [phase.last_step - phase.first_step for phase in found] == [n * times for n in steps]
    for length in (64, 128):
        expected = 0
        for phase in found:
            if phase.max_seq_length == length:
                assert phase.first_instance == expected
                expected += (phase.last_step - phase.first_step) * phase.train_batch_size


WRONG = [
    ({"max_seq_length": (64, 128)}, "--max_seq_length: give --phase_shares too"),
    ({"max_seq_length": (64, 128), "phase_shares": (0.5, 0.4)}, "--phase_shares=0.5,0.4: give 2 shares whose sum is 1"),
    ({"max_seq_length": (64, 128), "phase_shares": (0.5, 0.3, 0.2)}, "give 2 shares"),
    ({"max_seq_length": (64, 128), "masked_lm_prob": (0.3, 0.2, 0.1), "phase_shares": (1.0,)}, "must be equally long"),
    ({"phase_shares": (0.5, 0.5)}, "--phase_shares=0.5,0.5: no flag has a value for each phase"),
    ({"masked_lm_prob": (0.3, 0.2), "phase_shares": (0.999, 0.001)}, "phase 2 of 2 has none of 100 steps"),
    ({"objective": "causal_lm", "next_sentence": False}, "--objective: the last phase must be masked_lm"),
    ({"objective": ("causal_lm", "masked_lm"), "phase_shares": (0.5, 0.5)}, "needs --next_sentence=False"),
    ({"optimizer": "muon"}, "--optimizer=muon: needs --matrix_learning_rate"),
    ({"optimizer": "muon", "matrix_learning_rate": 0.02, "learning_rate": 0.0}, "a --learning_rate above 0"),
    ({"matrix_learning_rate": 0.02}, "--matrix_learning_rate: is for --optimizer=muon, not for adam"),
    ({"muon_momentum": 0.9, "optimizer": "lamb"}, "--muon_momentum: is for --optimizer=muon, not for lamb"),
    ({"optimizer": "lamb", "optimizer_bits": "8"}, "--optimizer_bits=8: is for adam and adamw"),
    ({"optimizer": "lamb", "fsdp": True}, "--fsdp: is for adam and adamw, not for --optimizer=lamb"),
    ({"optimizer": "lamb", "precision": "fp16"}, "--precision=fp16: is for adam and adamw"),
    ({"schedule": "warmup_stable_decay"}, "--num_decay_steps: give both or neither"),
    ({"num_decay_steps": 5}, "--num_decay_steps: give both or neither"),
    ({"schedule": "warmup_stable_decay", "num_decay_steps": 95}, "that is more than --num_train_steps=100"),
    ({"final_learning_rate": 1.0}, "is above --learning_rate"),
    ({"average_checkpoints": 6}, "--keep_checkpoint_max=5 keeps fewer"),
    ({"average_checkpoints": 2}, "--average_checkpoints=2: 100 steps leave 1; give a smaller --save_checkpoints_steps"),
    ({"optimizer_bits": "8", "fsdp": True}, "--optimizer_bits=8: not with --fsdp"),
    ({"average_checkpoints": 2, "do_train": False}, "--average_checkpoints: is for a training"),
    ({"neighbour_heads": True, "model": "b"}, "--neighbour_heads and --model: give one of them"),
    ({"neighbour_heads": True, "grow_from": "b"}, "--neighbour_heads and --grow_from: give one of them"),
    ({"grow_from": "a", "model": "b"}, "--grow_from and --model: give one of them"),
    ({"group_weight_decay": "x=1"}, "--group_weight_decay=x=1: give GROUP=NUMBER"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_contradictions_are_one_line(changes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check(flags(**changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_contradictions_are_told_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom bertworks import cli\n"
        "code = cli.main(['run_pretraining', '--input_file=x', '--output_dir=y', '--do_train', '--optimizer=muon'])\n"
        "assert code == 2 and 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "--matrix_learning_rate" in found.stderr


def test_the_defaults_contradict_nothing() -> None:
    check(dataclasses.replace(flags(), num_train_steps=100000, num_warmup_steps=10000))
