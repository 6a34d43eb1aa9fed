"""The words of `edged bench`.

In:  the parser of `edged`.     Out: the same with this command. Each kind imports what it needs
when it is chosen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edged import config

_Commands = argparse._SubParsersAction  # argparse gives this class no public name


def add_bench(commands: _Commands[argparse.ArgumentParser]) -> None:
    """Add `bench` with its kinds."""
    parser = commands.add_parser("bench", help="measure, beside peers where they are named")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    engine = kinds.add_parser("engine", help="answers per second of the engine process")
    engine.add_argument("--model", type=Path, metavar="FILE", help="default: the shipped model")
    engine.add_argument(
        "--peer",
        action="append",
        default=[],
        help="llama-server:PATH or xllamacpp; may be given again",
    )
    engine.add_argument(
        "--workload", action="append", default=[], metavar="NAME", help="default: all of them"
    )
    engine.add_argument("--repeat", type=int, default=5, help="pairs of each (default: 5)")
    engine.add_argument("--threads", type=int, help="compute threads of all (default: edged's)")
    engine.add_argument("--quick", action="store_true", help="few prompts: a trial, no figures")
    engine.add_argument("--json", type=Path, metavar="FILE", help="write the whole report here")
    engine.set_defaults(command=_bench_engine)
    _add_bench_delivery(kinds)
    power = kinds.add_parser("power", help="the power governor on virtual boards (simulated)")
    power.add_argument(
        "--board",
        choices=("rk3576", "rk3588", "host"),
        default="rk3588",
        help="a virtual one of the scenarios; host: real compute of this machine, through a broker",
    )
    power.add_argument("--broker", metavar="HOST:PORT", help="host: default 127.0.0.1:1883")
    power.add_argument("--seeds", type=int, default=3, help="host: hidden plants (default: 3)")
    power.add_argument(
        "--rounds", type=int, default=5, help="host: runs under each budget (default: 5)"
    )
    power.add_argument("--quick", action="store_true", help="host: a trial, no figures")
    power.add_argument(
        "--pauses", action="store_true", help="what a pause between steps saves on this machine"
    )
    power.add_argument("--plants", type=int, default=16, help="drawn plants per oracle share")
    power.add_argument("--scenario", metavar="NAME", help="this one alone")
    power.add_argument(
        "--estimate",
        action="store_true",
        help="only the estimate: its error on drawn plants, before and after a calibration",
    )
    power.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    power.add_argument("--plot", type=Path, metavar="FILE", help="draw them (SVG or PNG)")
    power.set_defaults(command=_bench_power)


def _add_bench_delivery(kinds: _Commands[argparse.ArgumentParser]) -> None:
    parser = kinds.add_parser("delivery", help="the daemon with a real broker and a real disk")
    parser.add_argument("--model", type=Path, metavar="FILE", help="of the end-to-end share")
    parser.add_argument(
        "--figure", action="append", default=[], metavar="NAME", help="default: all of them"
    )
    parser.add_argument(
        "--overload",
        action="store_true",
        help="only this: 150 %% of what the board can answer, for ten minutes",
    )
    parser.add_argument(
        "--even-disk",
        action="store_true",
        help="with --overload: state in memory, each sync takes 10 ms",
    )
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: $TMPDIR)")
    parser.add_argument("--quick", action="store_true", help="little of all: a trial, no figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table")
    parser.set_defaults(command=_bench_delivery)


def _bench_engine(given: argparse.Namespace) -> int:
    from edged.bench import engine
    from edged.bench.table import table
    from edged.models.installed import find_model

    order = engine.ordered(
        given.model or find_model(config.Model()).path,
        peer_words=given.peer,
        names=given.workload,
        repeat=given.repeat,
        threads=given.threads,
        is_quick=given.quick,
    )
    found = engine.bench(order)
    if given.json is not None:
        given.json.write_text(engine.as_json(found), encoding="utf-8")
    print(table(found))
    return 0


def _bench_delivery(given: argparse.Namespace) -> int:
    from edged.bench.delivery.run import run

    return run(given)


def _bench_power(given: argparse.Namespace) -> int:
    if given.pauses:
        from edged.bench.pauses import run
    elif given.board == "host":
        from edged.bench.host.report import run
    else:
        from edged.bench.power import run
    return run(given)
