"""Machine flags."""

import torch

from bertworks.commands.common import MachineFlags, choose_precision, precision_name, warn_of_retired


def test_a_tpu_is_asked_for_in_vain(capsys) -> None:
    warn_of_retired(MachineFlags(), torch.device("cpu"))
    assert capsys.readouterr().err == ""
    warn_of_retired(MachineFlags(use_tpu=True), torch.device("cpu"))
    assert "TPU flags are ignored and cpu is used" in capsys.readouterr().err


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) is torch.float32
    assert choose_precision("bf16", cpu) is torch.bfloat16
    assert choose_precision("auto", cpu) in (torch.float32, torch.bfloat16)
    assert (precision_name(torch.bfloat16), precision_name(torch.float32)) == ("bf16", "fp32")
