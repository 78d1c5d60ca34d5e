"""Which modules hold the report pages of the benchmarks: found by listing, so that nothing names a benchmark."""

from palimpsest.benchmarks import kinds

PAGE = "page"


def page_modules() -> list[str]:
    """Return the names of the modules `page` of all benchmarks, those of other packages last."""
    return [kinds.module_name(kind, PAGE) for kind in kinds.having(PAGE)]
