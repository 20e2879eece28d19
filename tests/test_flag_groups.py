"""Machine flags."""

import torch

from bertworks.flag_groups import MachineFlags, warn_of_retired


def test_a_tpu_is_asked_for_in_vain(capsys) -> None:
    warn_of_retired(MachineFlags(), torch.device("cpu"))
    assert capsys.readouterr().err == ""
    warn_of_retired(MachineFlags(use_tpu=True), torch.device("cpu"))
    assert "TPU flags are ignored and cpu is used" in capsys.readouterr().err
