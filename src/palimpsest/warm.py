"""A warm process: it imports the large libraries once, and each job without a GPU is a fork of it, which starts at once.

It imports nothing of this package, so a fork runs the code in the PYTHONPATH of its job. A fork ends when its client or the warm
process ends. Run as a program, `warm.py SOCKET -m MODULE ...` stands in for `python -m MODULE ...`; so this file imports little.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

WARM, NO = "PALIMPSEST_WARM", "no"
LIBRARIES = (
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen2.modeling_qwen2",
    "accelerate",
    "peft",
    "lm_eval",
    "lm_eval.models.huggingface",
    "rouge_score.rouge_scorer",
    "scipy.stats",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "jinja2",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
)
# The libraries read these variables when they are imported; jobs have the same values.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # A fork has neither Arrow's thread nor CUDA's context.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}
# Signals that a scheduler or a terminal sends to stop a job.
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
DIE_WITH_PARENT = 1


class Warm:
    """A warm process, which ends with the process that started it or when `stop` is called."""

    def __init__(self, *more: str) -> None:
        import subprocess
        import tempfile

        self.socket = Path(tempfile.mkdtemp(prefix="palimpsest-"), "warm")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket))
            listener.listen(128)
            # A session of its own, because a terminal signals all processes of a session.
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(listener.fileno()), *LIBRARIES, *more],
                env=kept | SETTINGS,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the process when its last fork has ended."""
        import shutil

        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self.socket.parent, ignore_errors=True)


class Command:
    """A Python command line in a fork of a warm process, with the interface of subprocess.Popen; raises OSError without one."""

    def __init__(self, warm: Path, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, files: Sequence[int]) -> None:
        request = json.dumps([list(arguments), dict(env), str(cwd)])
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(warm))
        socket.send_fds(self._socket, [b"."], files)
        self._lines = self._socket.makefile("rw")
        print(request, file=self._lines, flush=True)
        if not (line := self._lines.readline()):
            raise ConnectionError(f"{warm}: the warm process ended")
        self.pid = int(line)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        import select

        return self.wait() if self._code is not None or select.select([self._socket], [], [], 0)[0] else None

    def wait(self) -> int:
        """Return the exit code, or minus the signal that ended the command; it ends with the warm process."""
        if self._code is None:
            self._code = int(self._lines.readline() or -signal.SIGKILL)
            self._lines.close()
            self._socket.close()
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal unless the command has ended."""
        if self._code is None:
            # A fork does not outlive the warm process.
            with suppress(BrokenPipeError):
                self._socket.send(bytes([number]))

    def kill(self) -> int:
        """Send SIGKILL and wait."""
        self.send_signal(signal.SIGKILL)
        return self.wait()


def run(warm: Path, arguments: Sequence[str]) -> None:
    """Run `python {arguments}` in a fork, forward signals to it, and end as it ends; raises OSError without a warm process."""
    # A signal that arrives before the handlers are set would end this process, and so the fork.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        command = Command(warm, arguments, os.environ, Path.cwd(), [0, 1, 2])
        for number in FORWARDED:
            signal.signal(number, lambda number, _: command.send_signal(number))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    code = command.wait()
    if -code in FORWARDED:
        signal.signal(-code, signal.SIG_DFL)
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(listener: socket.socket, libraries: Sequence[str]) -> None:
    """Import the libraries, then fork for each request until standard input ends, and wait for the forks."""
    import gc
    import logging
    from importlib import import_module
    from multiprocessing.connection import wait

    # A scheduler also signals this process, and the forks may need time to save a checkpoint.
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    # On some CPUs, bitsandbytes asks for a package that no job here needs.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    for name in libraries:
        # A job that needs a missing library reports it itself.
        with suppress(ImportError):
            import_module(name)
    gc.collect()
    gc.freeze()
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("palimpsest: a library has started a thread, so jobs do not share a process")
    forks: dict[int, tuple[ForkProcess, socket.socket]] = {}
    sources: list[Any] = [0, listener]
    while sources or forks:
        clients = {client: process for process, client in forks.values()}
        ready = wait([*sources, *forks, *clients])
        if 0 in ready:
            sources = []
        for sentinel in forks.keys() & ready:
            process, client = forks.pop(sentinel)
            process.join()
            with suppress(BrokenPipeError), client:
                client.send(f"{process.exitcode}\n".encode())
        for client in clients.keys() & ready:
            if client.fileno() != -1 and (process := clients[client]).pid is not None:
                # Without its client, the fork has no reader.
                for signalled in client.recv(64) or [signal.SIGKILL]:
                    os.kill(process.pid, signalled)
        if listener in ready and sources:
            process, client = _fork(listener)
            forks[process.sentinel] = process, client


def _fork(listener: socket.socket) -> tuple[ForkProcess, socket.socket]:
    """Fork for the next request; return the fork and the socket of its client."""
    from multiprocessing import get_context

    client, _ = listener.accept()
    files = socket.recv_fds(client, 1, 3)[1]
    process = get_context("fork").Process(target=_become, args=(listener, files, client.makefile().readline()))
    process.start()
    for file in files:
        os.close(file)
    with suppress(BrokenPipeError):
        client.send(f"{process.pid}\n".encode())
    return process, client


def _become(listener: socket.socket, files: Sequence[int], request: str) -> None:
    """Become `python -m MODULE ...`."""
    import ctypes
    import runpy

    (option, module, *rest), env, cwd = json.loads(request)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    listener.close()
    for number in FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, file in enumerate(files):
        os.dup2(file, place)
    sys.stdin = os.fdopen(0)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    assert option == "-m"
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if "-m" in sys.argv:
        run(Path(sys.argv[1]), sys.argv[2:])
    else:
        serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
