"""The demo: a broker, edged with its shipped configuration, and a device that asks it 20 things.

In: nothing but this checkout and its .venv.  Out: each message with its answer, and a summary.
Exit 0 when every message got a schema-valid answer, 1 with what failed otherwise.
Whatever it starts it stops, by its own pid, also on Ctrl-C, SIGTERM and failure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.broker import HOST, is_port_free, last_words, start
from tools.broker_programs import ROOT, BrokerError, Programs, provide, version
from tools.demo_board import PROGRAMS, Board, DemoError, edged, scratch, write_config
from tools.demo_report import Verdict, describe, has_failed, judge, summary

MODEL = ROOT / "edged" / "models" / "dock-mini"
ROWS_PER_TEMPLATE = 4


def main() -> int:
    """Run the demo and return its exit code."""
    options = parse_arguments(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        return demonstrate(options.port, keep=options.keep)
    except (DemoError, BrokerError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything it started is stopped")
        return 130


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="tools/demo", description="Runs a broker, edged, and a device that asks it 20 things."
    )
    parser.add_argument("--port", type=port_number, default=1883, help="of the demo's broker")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    return parser.parse_args(arguments)


def port_number(text: str) -> int:
    """Return a port that a program of a plain user may listen on."""
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: a port is a number from 1024 to 65535")
    return int(text)


def leave(number: int, frame: object) -> None:
    """Unwind on a signal, so that everything is stopped on the way out."""
    raise SystemExit(128 + number)


def demonstrate(port: int, *, keep: bool) -> int:
    """Start everything, show the answers, stop everything.

    Raises:
        DemoError: edged or the device failed.
        BrokerError: no broker, or its port is in use.
    """
    need_free_port(port)
    rows = pick_rows(MODEL)
    programs = provide()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch())
        broker = start(programs, directory / "broker", port)
        stack.callback(broker.stop)
        board = write_config(directory, port)
        daemon = stack.enter_context(edged(board))
        # Runs first on the way out: an impatient second Ctrl-C leaves nothing behind.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        print(header(programs, board, len(rows)), flush=True)
        verdicts, power = show_answers(daemon, board, programs.mqtt, rows)
        print(summary(verdicts, len(rows), power), flush=True)
        if has_failed(verdicts, len(rows)):
            raise DemoError(f"not every message got a valid answer; edged's log: {board.log}")
        if keep:
            print(f"\n{lines_to_try(programs, board)}", flush=True)
            raise DemoError(f"edged ended with {daemon.wait()}: {last_words(board.log)}")
    return 0


def need_free_port(port: int) -> None:
    """Refuse a port that the demo's broker could not listen on.

    Raises:
        DemoError: something listens there already.
    """
    if not is_port_free(port):
        raise DemoError(
            f"port {port} on {HOST} is in use, perhaps by another MQTT broker, and the demo starts "
            f"one of its own: stop that one, or choose another port: tools/demo --port {port + 1}"
        )


def pick_rows(model: Path) -> list[dict[str, Any]]:
    """Return the same few hand-written messages of each template, evenly spread over its set."""
    rows = []
    for file in sorted((model / "eval" / "hand_written").glob("*.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        for line in lines[:: max(1, len(lines) // ROWS_PER_TEMPLATE)][:ROWS_PER_TEMPLATE]:
            rows.append({"template": file.stem, **json.loads(line)})
    if not rows:
        raise DemoError(f"no evaluation messages under {model}: this checkout is not complete")
    return rows


def header(programs: Programs, board: Board, asked: int) -> str:
    """Return what the reader should know before the first answer."""
    said = subprocess.run(
        [str(PROGRAMS / "edged"), "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    weights = [f"{file.name}, {file.stat().st_size / 1e6:.1f} MB" for file in MODEL.glob("*.gguf")]
    return "\n".join(
        [
            f"broker    {version(programs)} ({programs.origin}) on {HOST}:{board.port}, "
            f"MQTT {programs.mqtt}",
            f"daemon    {said}, {board.config}: as shipped but for port and state_dir",
            f"model     {'; '.join(weights)}, loaded by edged on this machine; no network is used",
            f"messages  {asked} that the model was not trained on: {ROWS_PER_TEMPLATE} of each "
            "template's hand-written set,",
            "          always the same ones, evenly spread; `edged eval` runs them all",
            "",
        ]
    )


def show_answers(
    daemon: subprocess.Popen[bytes], board: Board, mqtt: str, rows: list[dict[str, Any]]
) -> tuple[list[Verdict], dict[str, Any] | None]:
    """Let a device ask every row; print each answer as it comes.

    Returns:
        The verdicts, and what the board says of its power; None where it did not say.

    Raises:
        DemoError: edged ended, or the device gave up.
    """
    verdicts = []
    schemas = {row["template"]: read_schema(MODEL, row["template"]) for row in rows}
    with device(daemon, board, mqtt, rows) as process:
        assert process.stdout is not None
        for number, (row, line) in enumerate(zip(rows, process.stdout, strict=False), start=1):
            result = json.loads(line)
            verdict = judge(row, result, schemas[row["template"]])
            verdicts.append(verdict)
            print(f"{describe(number, row, result, verdict)}\n", flush=True)
        last = process.stdout.readline()
    if daemon.poll() is not None:
        raise DemoError(f"edged ended with {daemon.returncode}: {last_words(board.log)}")
    if process.returncode != 0:
        raise DemoError(f"the device gave up; edged's log: {board.log}")
    return verdicts, json.loads(last)["power"] if last else None


@contextlib.contextmanager
def device(
    daemon: subprocess.Popen[bytes], board: Board, mqtt: str, rows: list[dict[str, Any]]
) -> Iterator[subprocess.Popen[str]]:
    """The device process, with its messages before it; it is ended early if edged ends."""
    messages = board.config.with_name("messages.jsonl")
    messages.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    command = [sys.executable, "-m", "tools.demo_device", "--port", str(board.port)]
    command += ["--mqtt", mqtt, "--root", board.root, "--node", board.node]
    with messages.open("rb") as source:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            text=True,
            stdin=source,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    threading.Thread(target=end_with, args=(daemon, process), daemon=True).start()
    try:
        yield process
        process.wait()
    finally:
        process.terminate()
        process.wait()


def end_with(first: subprocess.Popen[bytes], other: subprocess.Popen[str]) -> None:
    """End one process when another ends."""
    first.wait()
    other.terminate()


def read_schema(model: Path, template: str) -> dict[str, Any]:
    """Return the JSON Schema that a template's answers must meet, from the template's file."""
    table = tomllib.loads((model / "templates" / f"{template}.toml").read_text(encoding="utf-8"))
    schema: dict[str, Any] = json.loads(table["schema"])
    return schema


def lines_to_try(programs: Programs, board: Board) -> str:
    """Return commands for a second terminal, complete and ready to paste."""
    message = {"template": "dock-event", "input": "dock 4: pallet 48213 arrived, 3 cartons crushed"}
    ask = f"-q 1 -t '{board.root}/{board.node}/req/me' -m '{json.dumps(message)}'"
    to = f"-h {HOST} -p {board.port}"
    note = "" if programs.kind == "mosquitto" else " (apt-get install mosquitto-clients)"
    lines = [
        f"Everything keeps running; Ctrl-C stops it. To try in other terminals{note}:",
        "",
        "# listen for answers; then ask",
        f"{client(programs, 'mosquitto_sub')} {to} -v -t '{board.root}/+/res/me/#'",
        f"{client(programs, 'mosquitto_pub')} {to} {ask}",
    ]
    if programs.mqtt == "5":
        reply = f"-e '{board.root}/{board.node}/res/me/now'"
        lines += [
            "# ask and get the answer in one go (MQTT 5 Response Topic)",
            f"{client(programs, 'mosquitto_rr')} -V 5 {to} {reply} {ask}",
        ]
    return "\n".join(lines)


def client(programs: Programs, name: str) -> str:
    """Return how to call one of mosquitto's clients in a shell of this machine."""
    if programs.library_path is None:
        return name
    # Empty where this machine had the libraries and lacked only the programs.
    variable = f"LD_LIBRARY_PATH={programs.library_path} " if programs.library_path else ""
    return f"{variable}{programs.path(name)}"


if __name__ == "__main__":
    sys.exit(main())
