"""Tokens of the environment stay there."""

from checkout import SECRET, Checkout


def test_no_token_is_in_any_file_that_a_study_leaves(finished_once: Checkout) -> None:
    read = 0
    for folder in ("results", ".snakemake"):
        for path in (finished_once.path / folder).rglob("*"):
            if path.is_file():
                read += 1
                assert SECRET.encode() not in path.read_bytes(), path
                assert SECRET not in path.name
    assert read > 300
