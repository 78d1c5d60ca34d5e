"""Python's command line in forks of one process that has imported the large libraries: each its own process, seconds earlier.

Nothing of this package is imported before the fork, so it comes from where the caller's PYTHONPATH says. As a program,
`forked.py SOCKET -m MODULE ...` stands in for `python -m MODULE ...`; so it imports little itself.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

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
    "snakemake.cli",
)
# Read when the libraries are imported.
SETTINGS = {
    # As the workflow and the stages set them.
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Neither Arrow's thread nor CUDA's context could be forked.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}


class Command:
    """A Python command line that runs, shown as subprocess.Popen shows one."""

    def __init__(self, server: Path, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, files: Sequence[int]) -> None:
        request = json.dumps([list(arguments), dict(env), str(cwd)])
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(server))
        socket.send_fds(self._socket, [b"."], files)
        self._lines = self._socket.makefile("rw")
        print(request, file=self._lines, flush=True)
        self.pid = int(self._lines.readline())
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        import select

        return self.wait() if self._code is not None or select.select([self._socket], [], [], 0)[0] else None

    def wait(self) -> int:
        """Return the exit code, or minus the signal that ended it."""
        if self._code is None:
            self._code = int(self._lines.readline())
            self._lines.close()
            self._socket.close()
        return self._code

    def kill(self) -> int:
        """Send signal 9 and return what `wait` does."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()


@cache
def server() -> Path:
    """Return the socket of the process that is forked, which starts once and ends with this one."""
    import atexit
    import subprocess
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="forked-"), "socket")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | SETTINGS
    # Nothing is ever written to its standard input, which ends when this process does, however it does.
    process = subprocess.Popen([sys.executable, __file__, path], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(_stop, process, path.parent)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    return path


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    import shutil

    assert process.stdin
    process.stdin.close()
    process.wait()
    shutil.rmtree(folder)


def shell(site: Path | None = None) -> Path:
    """Return a file in which `python` is this module, for shells whose BASH_ENV names it; in `site` lie packages that it has."""
    path = server().with_name(f"python{site or ''}.sh".replace("/", "-"))
    sites = f'PYTHONPATH="$PYTHONPATH":{shlex.quote(str(site))} ' if site else ""
    stand_in = shlex.join([sys.executable, "-ES", __file__, str(server())])
    path.write_text(f'python() {{ {sites}{stand_in} "$@"; }}\n', encoding="utf-8")
    return path


def start(arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None = None, said: int | None = None) -> Command:
    """Start `python {arguments}`; all that it says goes to a file descriptor, or nowhere."""
    with Path(os.devnull).open("r+") as nothing:
        said = nothing.fileno() if said is None else said
        return Command(server(), arguments, env, (cwd or Path()).absolute(), [nothing.fileno(), said, said])


def run(arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python {arguments}` to its end; stderr is in stdout."""
    import subprocess
    import tempfile

    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        code = start(arguments, env, cwd, file.fileno()).wait()
        file.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, file.read())


def serve(path: Path) -> None:
    """Import the libraries, then fork a child for each command until standard input ends."""
    import gc
    from contextlib import suppress
    from importlib import import_module
    from multiprocessing import get_context
    from multiprocessing.connection import wait

    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads cannot be forked"
    running: dict[object, Any] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        print("ready", flush=True)
        while 0 not in (ready := wait([0, listener.fileno(), *running])):
            for ended in running.keys() & ready:
                process, lines = running.pop(ended)
                process.join()
                # Who asked may be gone.
                with suppress(BrokenPipeError), lines:
                    print(process.exitcode, file=lines)
            if listener.fileno() in ready:
                connection, _ = listener.accept()
                with connection:
                    files = socket.recv_fds(connection, 1, 3)[1]
                    lines = connection.makefile("rw")
                process = get_context("fork").Process(target=_execute, args=(files, *json.loads(lines.readline())))
                process.start()
                for file in files:
                    os.close(file)
                print(process.pid, file=lines, flush=True)
                running[process.sentinel] = process, lines


def _execute(files: Sequence[int], arguments: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
    """Be `python -m MODULE ...`."""
    import runpy

    for place, file in enumerate(files):
        os.dup2(file, place)
    sys.stdin = os.fdopen(0)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:1] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    option, module, *rest = arguments
    assert option == "-m"
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _stand_in(path: Path, arguments: Sequence[str]) -> None:
    code = Command(path, arguments, os.environ, Path.cwd(), [0, 1, 2]).wait()
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(Path(sys.argv[1]))
    else:
        _stand_in(Path(sys.argv[1]), sys.argv[2:])
