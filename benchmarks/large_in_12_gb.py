"""Fine-tune BERT-Large at 512 tokens with batches of 15 on CPU, where no process may have more than 12 GiB.

    python -m benchmarks.large_in_12_gb [--gb=12] [--layers=24] [--hidden=1024] [flags of run_classifier]

Texts, vocabulary and weights are random, because memory does not depend on them. The limit is that of the address space
(`ulimit -v`), which counts libraries and what malloc keeps, too. Prints the account of `model/memory.py` for the whole
batch at once, the micro-batches that were chosen, and the most memory that the process had.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
from pathlib import Path

BATCH, LENGTH, VOCAB_SIZE, STEPS = 15, 512, 30522, 2


def main() -> None:
    """Set the limit, train two steps, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=12)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=1024)
    given, words = parser.parse_known_args()
    limit = int(given.gb * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    from bertworks import cli
    from bertworks.config import BertConfig
    from bertworks.model.memory import largest_batch, step_bytes

    config = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": given.hidden,
        "num_hidden_layers": given.layers,
        "num_attention_heads": given.hidden // 64,
        "intermediate_size": 4 * given.hidden,
    }
    ours = BertConfig(**config)
    for device, precision in (("cuda", "bf16"), ("cpu", "bf16"), ("cpu", "fp32")):
        whole = step_bytes(ours, BATCH * LENGTH, BATCH, precision=precision, device=device)
        most = largest_batch(ours, LENGTH, limit, precision=precision, device=device)
        print(
            f"by account, {device} {precision}: {whole.total / 1e9:.2f} GB for {BATCH} x {LENGTH}; {most} fit the limit"
        )
    with tempfile.TemporaryDirectory() as name:
        folder, vocabulary = Path(name), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary += [f"w{number}" for number in range(VOCAB_SIZE - len(vocabulary))]
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        (folder / "bert_config.json").write_text(json.dumps({**config, "hidden_act": "gelu"}), encoding="utf-8")
        texts = (" ".join(random.choices(vocabulary[5:], k=LENGTH)) for _ in range(BATCH))
        rows = "".join(f"{text}\t{number % 2}\n" for number, text in enumerate(texts))
        (folder / "train.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
        flags = [
            *(f"--vocab_file={folder}/vocab.txt", f"--bert_config_file={folder}/bert_config.json"),
            *(f"--train_file={folder}/train.tsv", f"--output_dir={folder}/out", "--do_train"),
            *(f"--max_seq_length={LENGTH}", f"--train_batch_size={BATCH}", f"--num_train_epochs={STEPS}"),
            *("--save_checkpoints_steps=0", "--log_every_steps=1", "--device=cpu"),
        ]
        cli.main(["run_classifier", *flags, *words])
        (state,) = (folder / "out" / "checkpoints").glob("step-*/state.json")
        budget = json.loads(state.read_text(encoding="utf-8"))["numerics"]["token_budget"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    steps = state.parent.name.removeprefix("step-")
    print(f"{steps} steps of {BATCH} x {LENGTH}: micro-batches of at most {budget} tokens, at most {peak:.2f} GB")


if __name__ == "__main__":
    main()
