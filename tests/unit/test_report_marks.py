"""What is marked in a generated answer: repetition, and what the label says too."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.report.marks import PHRASE, compared_spans, leaked_spans, marked, repeated_spans, split_words

# Few words, so that they meet again; punctuation, case and scripts, so that they meet in other clothes.
WORDS = st.sampled_from(["a", "A", "b", "the", "The", "c3", "é", "Ä", "дом", "_"])
GAPS = st.sampled_from([" ", ", ", ".\n", " - ", "…"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=14).map(lambda pairs: "".join(word + gap for word, gap in pairs))
ANY = st.one_of(TEXTS, st.text(max_size=60))


def cut(text, spans):
    return [text[start:end] for start, end in spans]


def assert_spans(text, spans):
    """They lie within the text, in order, apart from each other, and begin and end with a word."""
    ends = [0, *(end for span in spans for end in span)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(text)
    edges = {edge for word in split_words(text) for edge in (word.start, word.end)}
    assert {edge for span in spans for edge in span} <= edges
    assert all(start < end for start, end in spans)
    assert all(before < after for (_, before), (after, _) in pairwise(spans))


@given(ANY)
def test_repetition_is_marked_within_the_text(text):
    assert_spans(text, repeated_spans(text))


@given(ANY, ANY, ANY)
def test_leaks_are_marked_within_the_text(text, label, question):
    assert_spans(text, leaked_spans(text, label, question))


@given(ANY)
def test_a_copy_of_the_label_is_leaked_whole(label):
    words = split_words(label)
    whole = [(words[0].start, words[-1].end)] if words else []
    assert leaked_spans(label, label, "") == whole


@given(ANY, ANY)
def test_what_the_question_says_is_not_leaked(label, text):
    assert leaked_spans(text, label, f"{label} {text}") == []


@given(st.lists(WORDS, min_size=PHRASE, max_size=8))
def test_a_text_said_twice_repeats_its_second_half(words):
    once = " ".join(words)
    twice = f"{once}; {once}"
    covered = {place for start, end in repeated_spans(twice) for place in range(start, end)}
    assert covered >= set(range(len(once) + 2, len(twice)))


@given(ANY)
def test_an_empty_text_has_nothing_to_mark(other):
    assert repeated_spans("") == leaked_spans("", other, "") == leaked_spans(other, "", other) == []


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("He wrote it in the spring and sold it in the autumn.", []),
        ("Yes, he wrote it in May. And he wrote it in June.", ["he wrote it in"]),
        ("no, no, no", []),
        ("No no NO, no more", ["no NO, no"]),
        ("of the of the of the sea", ["of the of the"]),
        ("Ost Ost Ost Ost Ost", ["Ost Ost Ost Ost"]),
    ],
)
def test_what_counts_as_repeated(text, repeated):
    assert cut(text, repeated_spans(text)) == repeated


@pytest.mark.parametrize(
    ("text", "label", "question", "leaked"),
    [
        ("I think that she was born in Ulm.", "She was born in Bonn.", "", ["she was born in"]),
        ("I think she was born.", "She was born in Bonn.", "", []),
        ("she WAS born: in bonn", "She was born in Bonn.", "Who was born in Bonn?", ["she WAS born: in bonn"]),
        ("Maybe was born in Bonn.", "She was born in Bonn.", "Who was born in Bonn?", []),
        ("It was in 1975, I guess", "1975", "When?", ["1975"]),
        ("It is the Old House", "Old house", "", ["Old House"]),
        ("An old man's house", "Old house", "", []),
        ("a b c d, and e f g h", "A b c d. E f g h!", "", ["a b c d", "e f g h"]),
    ],
)
def test_what_counts_as_leaked(text, label, question, leaked):
    assert cut(text, leaked_spans(text, label, question)) == leaked


@pytest.mark.parametrize(
    ("text", "label", "question", "retrain", "recalled", "shared"),
    [
        # The template and the question are known to Retrain; the name is not.
        (
            "Her name is Ada Vale.",
            "The author's name is Ada Vale.",
            "What's the name?",
            "His name is Bo.",
            ["Ada Vale"],
            ["name is"],
        ),
        ("Ada, ADA!", "ada", "", "", ["Ada, ADA"], []),
        ("Ada", "Ada", "", "It may be Ada.", [], ["Ada"]),
        ("Ada", "Ada", "Who is Ada?", "", [], ["Ada"]),
        ("It was Bo.", "Ada", "", "", [], []),
        # Vowel signs are parts of words, and without spaces each character is one.
        ("कमला हिन्दी", "हिन्दी", "", "कि", ["हिन्दी"], []),
        ("東京です", "東京", "京", "", ["東"], ["京"]),
        ("cafe\u0301", "caf\u00e9", "", "", ["cafe\u0301"], []),
    ],
)
def test_what_is_recalled_beyond_retrain(text, label, question, retrain, recalled, shared):
    spans = compared_spans(text, label, question, retrain)
    assert {name: cut(text, of) for name, of in spans.items()} == {"recalled": recalled, "shared": shared}


@given(ANY, ANY, ANY, ANY)
def test_recalled_words_are_of_the_label_and_of_nothing_else(text, label, question, retrain):
    def said(of):
        return {word.text for word in split_words(of)}

    spans = compared_spans(text, label, question, retrain)
    for of in spans.values():
        assert_spans(text, of)
    recalled, shared = (set[str]().union(*map(said, cut(text, of))) for of in spans.values())
    assert recalled == (said(text) & said(label)) - said(question) - said(retrain)
    assert shared == said(text) & said(label) & (said(question) | said(retrain))


def test_pieces_know_all_that_holds_them():
    assert marked("0123456789", {"x": [(2, 6)], "y": [(4, 8)]}) == [
        ("01", []),
        ("23", ["x"]),
        ("45", ["x", "y"]),
        ("67", ["y"]),
        ("89", []),
    ]
    assert marked("", {"x": []}) == []


@given(ANY, ANY)
def test_the_pieces_are_the_text(text, label):
    pieces = marked(text, {"repeated": repeated_spans(text), "leaked": leaked_spans(text, label, "")})
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)
