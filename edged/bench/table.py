"""The report as a table, for people and for docs/benchmarks.md.

In:  the report as in its JSON.     Out: lines of Markdown, readable as they are.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NOT_AVAILABLE = "not available"
DOES_NOT_FIT = "does not fit"


def table(report: Mapping[str, Any]) -> str:
    """Return the whole report."""
    return "\n".join([*_head(report), "", *grid(_rows(report)), "", *_figures(report)])


def _head(report: Mapping[str, Any]) -> list[str]:
    machine, model, setting = report["machine"], report["model"], report["setting"]
    build = report["build"]
    peers = "".join(f", {peer} {version}" for peer, version in build["peers"].items())
    return [
        f"Machine: {machine['cpu']}, {setting['threads']} threads, {machine['system']}.",
        f"Model: {model['name']}, {model['bytes'] / 2**20:.0f} MiB, {model['digest'][:23]}.",
        f"Build: edged {build['edged']}, llama-cpp-python {build['llama-cpp-python']}, "
        f"llguidance {build['llguidance']}{peers}.",
        f"n = {report['repeat']} of each, interleaved; median (least to most) of answers/s; "
        "a ratio is the median over pairs.",
    ]


def _rows(report: Mapping[str, Any]) -> list[list[str]]:
    workloads = report["workloads"]
    peers = sorted({peer for item in workloads.values() for peer in item.get("peers", {})})
    head = ["workload", "edged", *peers, *(f"edged / {peer}" for peer in peers)]
    rows = [[*head, "right", "of the bound", "CPU s per answer"]]
    for name, item in workloads.items():
        if NOT_AVAILABLE in item:
            rows.append([name, NOT_AVAILABLE, *("" for _ in rows[0][2:])])
        else:
            rows.append([name, *_cells(item, peers)])
    return rows


def _cells(item: Mapping[str, Any], peers: Sequence[str]) -> list[str]:
    rates = [_spread(item["edged"], item["spread"]["edged"])]
    rates += [_rate_of(peer, item) for peer in peers]
    ratios = [f"{item['ratio'][peer]:.2f}" if peer in item["ratio"] else "-" for peer in peers]
    right = "-" if item["right"] is None else f"{item['right']:.3f}"
    costs = item["cpu_seconds_per_answer"]
    theirs = [f"{peer} {costs[peer]:.3f}" for peer in peers if peer in costs]
    cost = ", ".join([f"{costs['edged']:.3f}", *theirs])
    return [*rates, *ratios, right, f"{item['bound_share']:.2f}", cost]


def _rate_of(peer: str, item: Mapping[str, Any]) -> str:
    if peer not in item["peers"]:
        return DOES_NOT_FIT
    variant = f", {item['variants'][peer]}" if item["variants"][peer] else ""
    return _spread(item["peers"][peer], item["spread"][peer]) + variant


def _spread(median: float, extremes: Sequence[float]) -> str:
    return f"{median:.2f} ({extremes[0]:.2f} to {extremes[1]:.2f})"


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose columns are aligned as text too."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def _figures(report: Mapping[str, Any]) -> list[str]:
    inside, bound = report["inside"], report["compute_bound_share"]
    beyond = report["rss_beyond_model_bytes"]
    return [
        f"llama.cpp alone: {inside['prefill_tokens_per_s']:.0f} tokens/s of prefill (pp512), "
        f"{inside['row_s'] * 1000:.3f} ms for a row of the output matrix.",
        "Share of the compute bound (the lower of json-cold and json-warm): "
        + ("not measured" if bound is None else f"{bound:.2f}")
        + ".",
        f"Time outside llama_decode at a batch of 8: {report['overhead_share']:.3f}.",
        f"Resident memory beyond weights, KV cache and compute buffers: {beyond / 2**20:.0f} MiB.",
    ]
