"""Whether a process catches SIGTERM: a stage does once it trains, and until then the signal ends it as any other."""

import signal
from pathlib import Path


def catches_sigterm(pid: int | str) -> bool:
    """Return it of a running process."""
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> signal.SIGTERM - 1 & 1)
