"""Train dock-mini from generated messages and write its 4-bit GGUF; see docs/dock-mini.md.

`data`, `train` and `export` need the `train` extra; `held-out`, `check`, `install` and `calibrate`
only edged's own environment. Run from the repository root as `python -m tools.train_dock_mini`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.dock_mini import dataset

HELD_OUT_SEED = 7
HELD_OUT_ROWS = 120
CALIBRATION_ROWS = 400


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; its output goes to standard output."""
    args = _parser().parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    commands = {
        "held-out": _held_out,
        "restart": _restart,
        "data": _data,
        "train": _train,
        "export": _export,
        "check": _check,
        "install": _install,
        "calibrate": _calibrate,
    }
    commands[args.command](args)
    return 0


# The imports below stand in the commands: PyTorch and llama.cpp live in different environments.


def _held_out(args: argparse.Namespace) -> None:
    dataset.write_held_out(HELD_OUT_ROWS, HELD_OUT_SEED)


def _restart(args: argparse.Namespace) -> None:
    from tools.dock_mini import gguf_import, training

    run, tokenizer = gguf_import.read(args.gguf, args.add_layers_behind)
    tokenizer.save(str(args.work / "tokenizer.json"))
    training.save(run, args.work / "checkpoint.pt")


def _data(args: argparse.Namespace) -> None:
    from tools.dock_mini import corpus, vocabulary

    mix = corpus.training_rows(args.rows, args.seed, args.messages, args.messages_share)
    saved = args.work / "tokenizer.json"
    # A vocabulary already there is kept: a checkpoint is of use with its own vocabulary only.
    if not saved.exists():
        vocabulary.train(corpus.vocabulary_texts(mix, 60_000)).save(str(saved))
    tokens = corpus.build(vocabulary.load(saved), mix, args.seed)
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
    run = (
        training.load(start, args.device)
        if start
        else training.fresh_run(Shape(), args.seed, args.device)
    )
    plan = training.Plan(
        steps=args.steps,
        minutes=args.minutes,
        decay_from=args.decay_from,
        quantise_from=args.quantise_from,
        prompt_weight=args.prompt_weight,
        batch_tokens=args.batch_tokens,
        seed=args.seed,
    )
    corpus = Corpus.open(args.work / "corpus.npz")
    training.train(corpus, run, plan, checkpoint)
    summary = training.summary(run, plan, corpus)
    (args.work / "training.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def _export(args: argparse.Namespace) -> None:
    from tools.dock_mini import gguf_export, training

    run = training.load(args.work / "checkpoint.pt")
    for kind in gguf_export.KINDS:
        path = args.work / f"dock-mini-{kind}.gguf"
        gguf_export.write(run, args.work / "tokenizer.json", path, kind)
        print(f"{path}  {path.stat().st_size:,} bytes")


def _check(args: argparse.Namespace) -> None:
    from tools.dock_mini import check

    model = check.Model(args.gguf or args.work / "dock-mini-q4_0.gguf")
    for name in dataset.TEMPLATES:
        rows = dataset.read_rows(args.rows_dir / f"{name}.jsonl", name)
        results = check.check(model, rows)
        fields = "  ".join(
            f"{key} {share:.2f}" for key, share in check.field_match(results).items()
        )
        print(f"{name:18} n {len(rows):4}  exact {check.exact_match(results):.3f}  {fields}")


def _install(args: argparse.Namespace) -> None:
    from tools.dock_mini.install import install

    install(args.work / "dock-mini-q4_0.gguf", args.work / "training.json")


def _calibrate(args: argparse.Namespace) -> None:
    from edged import config
    from edged.evaluation.run import fit_confidence
    from tools.dock_mini import calibration_rows

    rows_dir = args.work / "calibration"
    calibration_rows.write(args.rows, args.seed, rows_dir)
    print(fit_confidence(config.Config(), None, rows_dir, "both"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.train_dock_mini", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    held_out = commands.add_parser("held-out", help="write the held-out evaluation rows")
    restart = commands.add_parser("restart", help="a checkpoint from a GGUF, to train it further")
    restart.add_argument("--gguf", type=Path, default=dataset.MODEL_DIR / "dock-mini.gguf")
    restart.add_argument(
        "--add-layers-behind", type=int, nargs="*", default=[], help="numbers of its layers"
    )
    data = commands.add_parser("data", help="generate messages, fit the tokeniser, tokenise")
    data.add_argument("--rows", type=int, default=450_000, help="rows in the training mix")
    data.add_argument("--messages", type=Path, help="directory of <template>.jsonl of your own")
    data.add_argument("--messages-share", type=float, default=0.2, help="their share of the mix")
    train = commands.add_parser("train", help="train, or go on from the last checkpoint")
    _add_train_arguments(train)
    export = commands.add_parser("export", help="write the bf16 and the 4-bit GGUF")
    check = commands.add_parser("check", help="exact match of a GGUF in llama.cpp")
    check.add_argument("--gguf", type=Path, help="default: the 4-bit file of `export`")
    check.add_argument("--rows-dir", type=Path, default=dataset.MODEL_DIR / "eval" / "held_out")
    install = commands.add_parser("install", help="put the 4-bit file into edged/models/dock-mini")
    calibrate = commands.add_parser("calibrate", help="fit the installed file's confidences")
    calibrate.add_argument("--rows", type=int, default=CALIBRATION_ROWS, help="of each template")
    for command in (held_out, restart, data, train, export, check, install, calibrate):
        command.add_argument("--work", type=Path, default=Path("build/dock-mini"))
        command.add_argument("--seed", type=int, default=1)
    return parser


def _add_train_arguments(train: argparse.ArgumentParser) -> None:
    train.add_argument("--steps", type=int, default=8000)
    train.add_argument("--minutes", type=float, default=600.0, help="end by the clock, if sooner")
    train.add_argument("--decay-from", type=float, default=0.15, help="share before the rate falls")
    train.add_argument(
        "--quantise-from", type=float, default=0.9, help="share before 4-bit training"
    )
    train.add_argument("--prompt-weight", type=float, default=0.2, help="the prompt's own loss")
    train.add_argument("--batch-tokens", type=int, default=6000)
    train.add_argument("--device", default="cpu", help="cpu or cuda")
    train.add_argument("--threads", type=int, default=2)
    train.add_argument("--resume", type=Path, help="another checkpoint to start from")


if __name__ == "__main__":
    sys.exit(main())
