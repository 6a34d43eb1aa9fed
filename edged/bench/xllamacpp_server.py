"""xllamacpp behind HTTP, in a process of its own: `python -m edged.bench.xllamacpp_server ...`.

In:  model, threads, KV tokens, slots, HTTP threads, port.     Out: a server until SIGTERM.
xllamacpp is llama-server's core as a Python package, with llguidance inside; it serves HTTP itself.
Nothing imports this module: the package is an extra, and its llama.cpp is another than edged's.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp


def serve(
    model: str, threads: int, kv_tokens: int, slots: int, http_threads: int, port: int
) -> None:
    """Serve until SIGTERM."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_ctx = kv_tokens
    parameters.n_parallel = slots
    parameters.kv_unified = True
    parameters.n_threads_http = http_threads
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    serve(sys.argv[1], *map(int, sys.argv[2:]))
