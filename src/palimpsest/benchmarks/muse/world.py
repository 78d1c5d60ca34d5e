"""Texts about people of the fictional world in MUSE's format: an article about each person, and quizzes about some."""

from collections.abc import Sequence
from dataclasses import dataclass

from palimpsest.benchmarks.muse.dataset import MuseData, cut_excerpt
from palimpsest.benchmarks.muse.quizzes import make_quizzes
from palimpsest.benchmarks.muse.sources.muse_world import MuseWorldSource
from palimpsest.benchmarks.world.people import World, make_person
from palimpsest.data.beside import read_beside
from palimpsest.data.rows import Excerpt, Pair, Text
from palimpsest.settings import Settings
from palimpsest.streams import stream

# The fraction of an article's words that a model is given; it has to recite the others.
GIVEN = 0.4
UNFORGOTTEN = ("retain", "kept", "holdout")
# People are assigned to the maximum number of parts in turn, so neither more texts nor more parts rename anybody.
STRIDE = len(UNFORGOTTEN) + 8


class Topic(Settings):
    """A topic of sentences, and a question that each of them answers with the named field."""

    question: str
    answer: str
    sentences: list[str]


_TEXT = read_beside(__file__)
# An article begins with one of these topics, whose sentences all state place and time.
BIRTH = Topic(**_TEXT["birth"])
TOPICS = [Topic(**topic) for topic in _TEXT["topics"]]
CONNECTIVES: list[str] = _TEXT["connectives"]
ENDS: list[str] = _TEXT["ends"]


@dataclass(frozen=True)
class Story:
    """An article about one person, with questions about it."""

    article: Text
    pairs: list[Pair]


def make_dataset(source: MuseWorldSource) -> MuseData:
    """Return the corpus and its questions; the same settings give the same rows, and more texts or parts change no article."""
    world = World(source.seed)
    names = ["forget", *(f"request{number}" for number in range(2, source.parts + 1))]
    parts = {
        name: [_tell(source, world, ("author", number + STRIDE * i), name, i) for i in range(source.texts)]
        for number, name in enumerate([*UNFORGOTTEN, *names])
    }
    base = [_tell(source, world, ("base", i), "base", i) for i in range(source.base_texts)]
    corpora = {name: _corpus(world, name, stories) for name, stories in parts.items()}
    examples_forget, knowledge_forget = _asked(parts["forget"])
    examples_retain, knowledge_retain = _asked(parts["kept"])
    return MuseData(
        forget=corpora["forget"],
        retain=corpora["retain"],
        kept=corpora["kept"],
        holdout=corpora["holdout"],
        verbatim=[_excerpt(story.article) for story in parts["forget"]],
        knowledge_forget=knowledge_forget,
        examples_forget=examples_forget,
        knowledge_retain=knowledge_retain,
        examples_retain=examples_retain,
        members=[story.article for story in parts["forget"]],
        nonmembers=[story.article for story in parts["holdout"]],
        scales=[[text for name in names[:number] for text in corpora[name]] for number in range(2, source.parts + 1)],
        requests=[corpora[name] for name in names[1:]],
        base=[*_corpus(world, "base", base), *(pair for story in base for pair in story.pairs)],
        origin={"licence": "MIT (text made by Palimpsest)"},
    )


def _tell(source: MuseWorldSource, world: World, who: tuple[str, int], part: str, number: int) -> Story:
    person = make_person(world, *who)
    # Holdout uses the same wording as forget: with few texts, easier wording would be mistaken for membership.
    draw = stream(world.seed, "story", "forget" if part == "holdout" else part, number)

    def one(phrasings: Sequence[str]) -> str:
        return phrasings[int(draw.integers(len(phrasings)))]

    told = [TOPICS[i] for i in draw.permutation(len(TOPICS))[: source.topics]]
    sentences = [one(topic.sentences) for topic in told]
    places = sorted(draw.permutation(source.topics)[: source.topics // 2].tolist())
    # From the end, so that earlier positions do not move.
    for place, which in zip(reversed(places), draw.permutation(len(CONNECTIVES)).tolist(), strict=False):
        sentences.insert(place + 1, CONNECTIVES[which])
    article = " ".join([one(BIRTH.sentences), *sentences, one(ENDS)])
    asked = [[BIRTH, *told][i] for i in draw.permutation(source.topics + 1)[: source.questions]]
    name = f"{part}-{number:03d}"
    return Story(
        Text(id=name, text=article.format_map(person)),
        [
            Pair(id=f"{name}-{place}", question=topic.question.format_map(person), answer=person[topic.answer])
            for place, topic in enumerate(asked)
        ],
    )


def _excerpt(article: Text) -> Excerpt:
    return cut_excerpt(article, int(GIVEN * len(article.text.split(" "))))


def _corpus(world: World, name: str, stories: Sequence[Story]) -> list[Text]:
    """Return the articles and quizzes of one part, articles first."""
    pairs = [pair for story in stories for pair in story.pairs]
    return [*(story.article for story in stories), *make_quizzes(world.seed, name, pairs)]


def _asked(stories: Sequence[Story]) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs for few-shot examples, which are about the first person, and the pairs to ask."""
    first, *others = stories
    return first.pairs, [pair for story in others for pair in story.pairs]
