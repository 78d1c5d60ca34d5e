"""Your own documents from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.documents.dataset import DocumentsData
from palimpsest.benchmarks.documents.files import FORGET, hash_files, list_files, read_documents

BYTES_PER_TOKEN = 4


class DocumentsSource(LocalSource):
    """Your own documents, or questions with answers, from a local folder with `forget/` and `retain/`.

    Two parts are optional: `holdout/` has documents like those in `forget/`, which no model learns, and `questions.jsonl` has
    questions about `forget/`.
    Files are text (.txt), Markdown (.md), PDF (.pdf, with the extra `palimpsest[pdf]`) or JSON lines (.jsonl).
    """

    sets: ClassVar = ("forget", "retain", "holdout", "questions", "base")
    holds: ClassVar = "forget/ and retain/, each with .txt, .md, .pdf or .jsonl files"
    kind: Literal["documents"]
    """Read from a local folder."""
    path: str
    """The folder, relative to the working directory."""
    column: str = "text"
    """The column of JSON lines with the text. Lines without it are questions with answers: columns `question` and `answer`."""

    def read(self) -> DocumentsData:
        """Return the documents; raises UserError for a missing folder, a file that cannot be read, and sets that overlap."""
        return read_documents(Path(self.path), self.column)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        return hash_files(Path(self.path))

    def tokens(self, item: float) -> float:
        """Return about how many tokens the documents to forget have, by the size of their files."""
        size = sum(path.stat().st_size for path in list_files(Path(self.path) / FORGET))
        return size / BYTES_PER_TOKEN if size else super().tokens(item)
