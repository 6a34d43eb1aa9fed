"""Train dock-mini from generated messages and write its 4-bit GGUF; see docs/dock-mini.md.

Run from the repository root with the `train` extra installed:

    python -m tools.train_dock_mini data    --work build/dock-mini
    python -m tools.train_dock_mini train   --work build/dock-mini
    python -m tools.train_dock_mini export  --work build/dock-mini
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.dock_mini import dataset

HELD_OUT_SEED = 7
HELD_OUT_ROWS = 120


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; its output goes to standard output."""
    args = _parser().parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    commands = {"held-out": _held_out, "data": _data, "train": _train, "export": _export}
    commands[args.command](args)
    return 0


def _held_out(args: argparse.Namespace) -> None:
    dataset.write_held_out(HELD_OUT_ROWS, HELD_OUT_SEED)


def _data(args: argparse.Namespace) -> None:
    # Imported here: only training needs these packages.
    from tools.dock_mini import corpus, vocabulary

    mix = corpus.training_rows(args.rows, args.seed, args.messages, args.messages_share)
    tokenizer = vocabulary.train(corpus.vocabulary_texts(mix, 60_000))
    tokenizer.save(str(args.work / "tokenizer.json"))
    tokens = corpus.build(tokenizer, mix)
    tokens.save(args.work / "corpus.npz")
    print(f"{len(mix):,} rows, {len(tokens.tokens):,} tokens")


def _train(args: argparse.Namespace) -> None:
    import torch

    from tools.dock_mini import training
    from tools.dock_mini.corpus import Corpus
    from tools.dock_mini.llama import Shape

    torch.set_num_threads(args.threads)
    checkpoint = args.work / "checkpoint.pt"
    start = args.resume or (checkpoint if checkpoint.exists() else None)
    run = training.load(start) if start else training.fresh_run(Shape(), args.seed)
    plan = training.Plan(
        args.steps, args.decay_from, args.quantise_from, args.batch_seqs, args.seed
    )
    training.train(Corpus.open(args.work / "corpus.npz"), run, plan, checkpoint)


def _export(args: argparse.Namespace) -> None:
    from tools.dock_mini import gguf_export, training

    run = training.load(args.work / "checkpoint.pt")
    for kind in ("bf16", "q4_0"):
        path = args.work / f"dock-mini-{kind}.gguf"
        gguf_export.write(run, args.work / "tokenizer.json", path, kind)
        print(f"{path}  {path.stat().st_size:,} bytes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.train_dock_mini", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    held_out = commands.add_parser("held-out", help="write the held-out evaluation rows")
    data = commands.add_parser("data", help="generate messages, fit the tokeniser, tokenise")
    data.add_argument("--rows", type=int, default=450_000, help="rows in the training mix")
    data.add_argument("--messages", type=Path, help="directory of <template>.jsonl of your own")
    data.add_argument("--messages-share", type=float, default=0.2, help="their share of the mix")
    train = commands.add_parser("train", help="train, or go on from the last checkpoint")
    train.add_argument("--steps", type=int, default=6000)
    train.add_argument("--decay-from", type=int, default=4000)
    train.add_argument("--quantise-from", type=int, help="train on 4-bit weights from this step")
    train.add_argument("--batch-seqs", type=int, default=64)
    train.add_argument("--threads", type=int, default=2)
    train.add_argument("--resume", type=Path, help="another checkpoint to start from")
    export = commands.add_parser("export", help="write the bf16 and the 4-bit GGUF")
    for command in (held_out, data, train, export):
        command.add_argument("--work", type=Path, default=Path("build/dock-mini"))
        command.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
