"""What all contests of a run share, and who takes part in them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from bertworks.benchmark import choices, machine
from bertworks.benchmark.contest import Absent, Clock, Contestant
from bertworks.benchmark.energy import Meter
from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.known_peers import Peer
from bertworks.benchmark.peers.order import Order
from bertworks.benchmark.processes import entrant
from bertworks.config import BertConfig
from bertworks.model.device import choose_device, choose_precision, precision_name

# Passes of a turn of Lambda's and NVIDIA's benchmarks.
_PASSES_LIKE_OTHERS = 100
# Rows of the product whose speed is the peak: enough to keep the device busy.
_PRODUCT_ROWS = {"cpu": 2048, "cuda": 65536}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all contests of a run share.

    Attributes:
        folder: a temporary one, for the inputs.
        threads: of each contestant.
    """

    flags: BenchmarkFlags
    folder: Path
    device: torch.device
    threads: int
    meter: Meter
    pythons: dict[str, str]
    peers: Sequence[Peer]

    @classmethod
    def of(cls, flags: BenchmarkFlags, folder: Path) -> Surroundings:
        """Return those of a run."""
        device = choose_device(flags.device)
        threads = flags.threads or (1 if flags.what == "tokenize" else machine.usable_threads())
        return cls(
            flags=flags,
            folder=folder,
            device=device,
            threads=threads,
            meter=Meter(gpu=(device.index or 0) if device.type == "cuda" else None),
            pythons=choices.pythons(flags),
            peers=choices.contestants(flags),
        )

    @property
    def passes(self) -> int:
        """The passes of a turn."""
        return self.flags.steps or (_PASSES_LIKE_OTHERS if self.flags.like else choices.KINDS[self.flags.what].passes)

    @property
    def rounds(self) -> int:
        """The rounds that are measured; Lambda's and NVIDIA's benchmarks have three repeats and one."""
        like = {"lambda": 3, "nvidia": 1}.get(self.flags.like or "", self.flags.rounds)
        return self.flags.rounds if self.flags.was_given("rounds") else like

    @property
    def sizes(self) -> list[str]:
        """The sizes of models to measure; Lambda's and NVIDIA's tables have Base and Large."""
        return (
            ["base", "large"]
            if self.flags.like and not self.flags.was_given("size")
            else choices.names(self.flags.size)
        )

    def precisions(self) -> list[str]:
        """Return what is computed in; for vectors `auto` is fp32, as our commands have it."""
        if self.flags.like and not self.flags.was_given("precision"):
            return ["fp32", "bf16"]
        training = self.flags.what in ("train", "finetune")
        auto = precision_name(choose_precision("auto", self.device)) if training else "fp32"
        return list(dict.fromkeys(auto if name == "auto" else name for name in choices.precisions(self.flags)))

    def entrants(
        self,
        work: str,
        folder: Path,
        longest: int,
        config: BertConfig | None = None,
        *,
        clock: Clock = "wall",
        options: dict[str, str] | None = None,
        precisions: Sequence[str] = (),
        best: bool = False,
    ) -> list[AbstractContextManager[Contestant | Absent]]:
        """Return the contestants of a contest, not yet started: ours in every precision that a peer has, then peers.

        Args:
            work: see `Order`; for data the settings are the works.
            longest: the most tokens of a sequence.
            config: the model's; None where there is none.
            options: see `Order`.
            precisions: instead of those of the flags.
            best: whether peers take part at their best only.
        """
        ordered = [*precisions] or (self.precisions() if config else ["fp32"])
        pairs = [
            (peer, setting, precision)
            for peer in self.peers
            for setting, fixed in self._settings(peer).items()
            if setting != "defaults" or not best
            for precision in ([fixed] if fixed else [p for p in ordered if p in peer.precisions])
        ]
        # A peer's default is compared with ours in the same precision.
        needed = list(dict.fromkeys([*ordered, *(precision for *_, precision in pairs)]))
        mine = [
            (peer, setting, p)
            for peer in self.peers
            if peer.name == "bertworks"
            for setting in peer.settings
            for p in needed
            if p in peer.precisions
        ]
        theirs = [pair for pair in pairs if pair[0].name != "bertworks"]
        product = (
            _PRODUCT_ROWS[self.device.type],
            *((config.hidden_size, config.intermediate_size) if config else (768, 3072)),
        )
        return [
            entrant(
                peer.name,
                Order(
                    module=peer.module,
                    work=setting if work == "data" else work,
                    folder=str(folder),
                    setting=setting,
                    precision=precision,
                    device=str(self.device),
                    threads=self.threads,
                    max_seq_length=longest,
                    product=product,
                    options=options or {},
                ),
                python=self.pythons.get(peer.name, sys.executable),
                hint=peer.hint,
                clock=clock,
                meter=self.meter,
            )
            for peer, setting, precision in (*mine, *theirs)
        ]

    def _settings(self, peer: Peer) -> dict[str, str]:
        """Return a peer's settings; those of `transformers` on a GPU have compiled models too."""
        compiled = (
            peer.name == "transformers" and self.device.type == "cuda" and self.flags.what in ("train", "finetune")
        )
        return {**peer.settings, **({"compiled": ""} if compiled else {})}
