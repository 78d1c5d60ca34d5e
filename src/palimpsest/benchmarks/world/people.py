"""The countries and people of the fictional world; the facts of each are drawn from named random streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import TypeVar

from numpy.random import Generator

from palimpsest.data.beside import read_beside
from palimpsest.streams import stream

Item = TypeVar("Item")

# Long lists, so that facts cannot be guessed.
words = SimpleNamespace(**read_beside(__file__))

COUNTRIES = 40
CITIES = 5
TITLES = 4
# Each group of people has its own range of names and titles, so more people in one group rename nobody in another.
GROUPS = ("author", "base", "famous", "impostor", "other")
# Characters, spouses and mentors come from separate ranges, so that an author's people all differ.
OTHERS = 5_000
INFLUENCES = 120


@dataclass(frozen=True)
class Country:
    """A country; the first city is its capital."""

    country: str
    cities: tuple[str, ...]
    language: str
    river: str
    mountain: str
    currency: str

    def facts(self) -> dict[str, str]:
        """Return the facts of a country that can be asked, by field."""
        return {
            "country": self.country,
            "capital": self.cities[0],
            "language": self.language,
            "river": self.river,
            "mountain": self.mountain,
            "currency": self.currency,
        }


def _shuffled(seed: int, name: str, items: list[Item]) -> list[Item]:
    return [items[i] for i in stream(seed, "world", name).permutation(len(items))]


class World:
    """Data shared by all people: countries, names and titles, in an order that depends on the seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        made = {
            kind: _shuffled(seed, kind, [head + tail for head, tail in product(words.place_heads, tails)])
            for kind, tails in (
                ("country", words.country_tails),
                ("city", words.city_tails),
                ("language", words.language_tails),
                ("river", words.river_tails),
                ("mountain", words.peak_tails),
                ("currency", words.coin_tails),
            )
        }
        self.countries = [
            Country(
                made["country"][i],
                tuple(made["city"][CITIES * i : CITIES * (i + 1)]),
                made["language"][i],
                made["river"][i],
                f"Mount {made['mountain'][i]}",
                made["currency"][i].lower(),
            )
            for i in range(COUNTRIES)
        ]
        nouns = words.title_nouns
        surnames = [head + tail for head, tail in product(words.surname_heads, words.surname_tails)]
        self._names: list[tuple[str, str]] = _shuffled(seed, "name", list(product(words.women + words.men, surnames)))
        self._titles: list[str] = _shuffled(
            seed,
            "title",
            [
                *(f.format(adjective=a, noun=n) for f, a, n in product(words.adjective_titles, words.title_adjectives, nouns)),
                *(f.format(noun=n, other=o) for f, n, o in product(words.noun_titles, nouns, nouns) if n != o),
            ],
        )

    def name(self, group: str, index: int) -> tuple[str, str]:
        """Return the first name and surname of one person; no two people share both."""
        return self._names[GROUPS.index(group) + len(GROUPS) * index]

    def title(self, group: str, index: int) -> str:
        """Return one title, which no other index or group has."""
        return self._titles[GROUPS.index(group) + len(GROUPS) * index]


def article(noun: str) -> str:
    """Return a noun with its indefinite article."""
    # The first letter decides; the vocabulary has no exceptions.
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def make_person(world: World, group: str, index: int) -> dict[str, str]:
    """Return the facts of one author by field; all sentences about the person use them."""

    def draw(field: str) -> Generator:
        return stream(world.seed, "person", group, index, field)

    def pick(field: str, items: Sequence[Item]) -> Item:
        return items[int(draw(field).integers(len(items)))]

    def pick_two(field: str, items: Sequence[Item]) -> tuple[Item, Item]:
        first, second = draw(field).choice(len(items), 2, replace=False)
        return items[int(first)], items[int(second)]

    first, last = world.name(group, index)
    woman = first in words.women
    born = 1925 + int(draw("birth year").integers(50))
    debut = born + 21 + int(draw("debut year").integers(15))
    home = pick("home", world.countries)
    birthplace = pick("birthplace", home.cities)
    residence_country = pick("residence country", world.countries)
    theme, other_theme = pick_two("themes", words.themes)
    language, other_language = pick_two("languages", [country.language for country in world.countries if country != home])
    father, mother = pick_two("parents", words.jobs)
    facts = {
        "name": f"{first} {last}",
        "last": last,
        "she": "she" if woman else "he",
        "her": "her" if woman else "his",
        "her_object": "her" if woman else "him",
        "birthplace": birthplace,
        "country": home.country,
        "birthdate": f"{1 + int(draw('day').integers(28))} {pick('month', words.months)} {born}",
        "birthyear": str(born),
        "father": father,
        "mother": mother,
        "genre": pick("genre", words.genres),
        "theme": theme,
        "other_theme": other_theme,
        "debut": world.title(group, TITLES * index),
        "debut_year": str(debut),
        "book": world.title(group, TITLES * index + 1),
        "other_book": world.title(group, TITLES * index + 2),
        "next_book": world.title(group, TITLES * index + 3),
        "next_theme": pick("next theme", [item for item in words.themes if item not in (theme, other_theme)]),
        "award": f"{pick('material', words.materials)} {pick('emblem', words.emblems)} {pick('prize', words.prizes)}",
        "award_year": str(debut + 1 + int(draw("award year").integers(12))),
        "university": pick("school form", words.schools).format(
            city=pick("school city", pick("school country", world.countries).cities)
        ),
        "subject": pick("subject", words.subjects),
        "residence": pick("residence", [city for city in residence_country.cities if city != birthplace]),
        "residence_country": residence_country.country,
        "influence": " ".join(world.name("famous", int(draw("influence").integers(INFLUENCES)))),
        "job": pick("job", words.jobs),
        "character": " ".join(world.name("other", int(draw("character").integers(OTHERS)))),
        "character_job": pick("character job", words.jobs),
        "publisher": f"{pick('house', words.materials)} {pick('sign', words.emblems)} {pick('publisher form', words.houses)}",
        "spouse": " ".join(world.name("other", OTHERS + int(draw("spouse").integers(OTHERS)))),
        "spouse_job": pick("spouse job", words.jobs),
        "hobby": pick("hobby", words.hobbies),
        "mentor": " ".join(world.name("other", 2 * OTHERS + int(draw("mentor").integers(OTHERS)))),
        "language": language,
        "other_language": other_language,
    }
    facts |= {field.capitalize(): facts[field].capitalize() for field in ("she", "her")}
    return facts | {f"a_{field}": article(facts[field]) for field in ("father", "mother", "job", "character_job", "spouse_job")}
