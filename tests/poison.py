"""What must never be unpickled."""

import os
from pathlib import Path
from typing import Any


class Poison:
    """Makes a folder when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.proof),)
