"""The command line: words to functions.

In:  arguments.     Out: an exit code (0, 69, 70, 74 or 78; 1: a bad answer of `ask` or `eval`, an
order that the daemon does not carry out, or a clock that `restore-clocks` could not restore).
Each command imports what it needs when it is chosen, so that `edged --version` is instant.
"""

from __future__ import annotations

import argparse
import gc
import logging
from collections.abc import Sequence
from pathlib import Path

import edged
from edged import config, journal
from edged.admin.command_line import add_commands
from edged.bench.command_line import add_bench
from edged.errors import ConfigError, EngineUnusable
from edged.store.command_line import add_store_commands

# A prompt is dozens of objects, which live as long as it waits, and make no cycles: with the
# default of 700 a burst spends an eighth of its time on looking through them all, in vain.
RARELY = (50_000, 20, 50)


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    given = _parser().parse_args(arguments)
    # A service's log is its face; a command's output is its answer.
    if given.command in (_run, _engine):
        journal.begin(logging.INFO, given.journal_socket)
    else:
        logging.basicConfig(level=logging.WARNING, format=journal.TEXT)
    code: int = given.command(given)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edged", description=edged.__doc__)
    parser.add_argument("--version", action="version", version=f"edged {edged.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_engine(commands)
    _add_check(commands)
    _add_doctor(commands)
    _add_ask(commands)
    _add_eval(commands)
    add_bench(commands)
    _add_config(commands)
    _add_restore_clocks(commands)
    _add_calibrate(commands)
    _add_top(commands)
    add_commands(commands)
    add_store_commands(commands)
    return parser


_Commands = argparse._SubParsersAction  # argparse gives this class no public name


def _add_run(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("run", help="run the daemon")
    _add_config_option(parser)
    _add_journal_option(parser)
    parser.set_defaults(command=_run)


def _add_engine(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("engine", help="run the engine process alone")
    _add_config_option(parser)
    parser.add_argument("--state-dir", type=Path, help="in place of node.state_dir")
    parser.add_argument("--socket", type=Path, help="in place of engine.socket")
    _add_journal_option(parser)
    parser.add_argument("--spawned", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(command=_engine)


def _add_check(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("check", help="check configuration, templates and model")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="for a machine")
    parser.set_defaults(command=_check)


def _add_doctor(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor", help="say what this board has, lacks, and how to mend it"
    )
    _add_config_option(parser)
    parser.add_argument("--state-dir", type=Path, help="in place of node.state_dir")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="advice on this GGUF, .rkllm or .rknn file instead: memory, NPU, published figures",
    )
    parser.add_argument("--json", action="store_true", help="for a machine")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    parser.set_defaults(command=_doctor)


def _add_ask(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("ask", help="ask through the broker, as a device does")
    _add_config_option(parser)
    parser.add_argument("--template", help="template to use; without it TEXT is a plain prompt")
    parser.add_argument("--client", default="ask", help="client id to ask as (default: ask)")
    parser.add_argument("--ttl-s", type=float, default=60.0, help="deadline in seconds")
    parser.add_argument("--json", action="store_true", help="print the outcome as it came")
    parser.add_argument("text", metavar="TEXT", help="text, or a JSON object for several variables")
    parser.set_defaults(command=_ask)


def _add_eval(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("eval", help="score the model on its own sets")
    _add_config_option(parser)
    parser.add_argument(
        "--wire",
        choices=("json", "compact", "both"),
        default="both",
        help="form that the model writes in; both: compact too where a template can have it",
    )
    parser.add_argument(
        "--fit-confidence",
        type=Path,
        metavar="ROWS_DIR",
        help="no scores: fit the confidences on ROWS_DIR/TEMPLATE.jsonl, and write the table",
    )
    parser.add_argument(
        "--injection",
        action="store_true",
        help="no scores: what texts that give orders do to the answers",
    )
    parser.add_argument("--json", action="store_true", help="for a machine")
    parser.set_defaults(command=_eval)


def _add_config(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("config", help="print the example configuration")
    parser.add_argument("--example", action="store_true", required=True)
    parser.set_defaults(command=_config)


def _add_restore_clocks(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "restore-clocks", help="give back the clocks that a stopped engine left capped"
    )
    _add_config_option(parser)
    parser.add_argument("--state-dir", type=Path, help="in place of node.state_dir")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(command=_restore_clocks)


def _add_calibrate(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "calibrate", help="measure this board's watts and speed at each clock, against a meter"
    )
    _add_config_option(parser)
    parser.add_argument("--state-dir", type=Path, help="in place of node.state_dir")
    parser.add_argument(
        "--meter",
        choices=("auto", "mqtt"),
        default="auto",
        help="auto: the board's own meter, else the plug of [plug]; mqtt: that plug",
    )
    parser.add_argument("--points", type=_at_least_one, metavar="N", help="clock settings, at most")
    parser.add_argument(
        "--dwell",
        type=_at_least_one,
        metavar="S",
        help="seconds of readings at each (default: 12, with a plug two of its periods)",
    )
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted calibration")
    parser.set_defaults(command=_calibrate)


def _add_top(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("top", help="a board of the site, live on this terminal")
    _add_config_option(parser)
    parser.add_argument("--node", metavar="NAME", help="whose figures (default: node.name)")
    parser.set_defaults(command=_top)


def _at_least_one(text: str) -> int:
    """Return a count.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number, 1 or more")
    return int(text)


def _add_config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: every key's default")


def _add_journal_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal-socket", type=Path, default=journal.SOCKET, help=argparse.SUPPRESS
    )


def _run(given: argparse.Namespace) -> int:
    # What is imported lives as long as the process: no collection need look at it, now or later.
    gc.disable()
    from edged.daemon import run as run_daemon

    gc.freeze()
    gc.set_threshold(*RARELY)
    gc.enable()
    return run_daemon(config.load(given.config), given.config)


def _engine(given: argparse.Namespace) -> int:
    from edged.engine.process import run as run_engine
    from edged.engine.tie import end_with
    from edged.store.engine_start import begin_anew, start_of

    if given.parent is not None and not end_with(given.parent):
        return 0
    start = start_of(config.load(given.config), tries=given.parent is None)
    settings = config.placed(start.config, given.state_dir, given.socket)
    code = run_engine(settings, spawned=given.spawned, fall_back=start.fall_back)
    return begin_anew() if code is None else code


def _check(given: argparse.Namespace) -> int:
    from edged.check import check

    try:
        findings = check(given.file)
    except EngineUnusable as error:
        raise ConfigError(f"{given.file}: {error}") from error
    print(findings.as_json() if given.json else findings.as_text())
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from edged.doctor.advice import advise
    from edged.doctor.examine import examine
    from edged.doctor.root import Root

    root = Root(given.root)
    if given.model is None:
        report = examine(given.config, root, given.state_dir)
    else:
        report = advise(given.model, config.load(given.config), root)
    print(report.as_json() if given.json else report.as_text())
    return report.exit_code


def _ask(given: argparse.Namespace) -> int:
    from edged.ask import Question, ask

    question = Question(given.text, given.template, given.client, given.ttl_s)
    return ask(config.load(given.config), question, as_json=given.json)


def _eval(given: argparse.Namespace) -> int:
    from edged.evaluation.run import evaluate, fit_confidence
    from edged.store.chosen import in_force

    settings = in_force(config.load(given.config))
    if given.fit_confidence is not None:
        print(fit_confidence(settings, given.config, given.fit_confidence, given.wire))
        return 0
    if given.injection:
        from edged.evaluation.injection import attack

        found = attack(settings, given.config)
        print(found.as_json() if given.json else found.as_text())
        return 0
    report = evaluate(settings, given.config, given.wire)
    print(report.as_json() if given.json else report.as_text())
    return 0


def _config(_: argparse.Namespace) -> int:
    from edged.config.example import example

    print(example(), end="")
    return 0


def _calibrate(given: argparse.Namespace) -> int:
    from edged.sweep.command import calibrate

    return calibrate(given)


def _top(given: argparse.Namespace) -> int:
    from edged.top.command import top

    return top(config.load(given.config), given.node)


def _restore_clocks(given: argparse.Namespace) -> int:
    from edged.board.knobs.restore import restore_clocks
    from edged.board.knobs.saved import SavedClocks, boot_id
    from edged.board.sysfs import SYS

    settings = config.placed(config.load(given.config), given.state_dir, None)
    root = given.root or settings.power.sysfs or SYS
    done = restore_clocks(root, SavedClocks(settings.state_dir, boot_id()))
    print("\n".join(done.sentences))
    return 1 if done.kept else 0
