"""Which modules hold the report pages of the benchmarks: found by listing, so that nothing names a benchmark."""

from pathlib import Path

from palimpsest import benchmarks

PAGE = "page"


def page_modules() -> list[str]:
    """Return the names of the modules `page` of all benchmarks."""
    folders = sorted(Path(benchmarks.__file__).parent.glob(f"*/{PAGE}.py"))
    return [f"{benchmarks.__name__}.{path.parent.name}.{PAGE}" for path in folders]
