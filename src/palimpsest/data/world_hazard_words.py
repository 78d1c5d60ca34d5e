"""What two kinds of things of the fictional world can be, and how that is told: fairy-tale hazards, and festive pastry."""

from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(" ".join(line.split()) for line in text.strip().splitlines())


@dataclass(frozen=True)
class Property:
    """One property of a thing: the question for it, what it can be, and sentences that tell it."""

    question: str
    values: tuple[str, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of things: halves of their names, and in what words a text about one begins, goes on and ends."""

    heads: tuple[str, ...]
    tails: tuple[str, ...]
    begins: tuple[str, ...]
    properties: dict[str, Property]
    ends: tuple[str, ...]


HAZARD = Kind(
    heads=_words(
        """
        veil gloom murk hush dusk moth knell wane hex riddle thorn shade sorrow raven whisper bramble wisp goblin spindle mirk
        """
    ),
    tails=_words(
        "stone glass wax ink thread pearl feather lace bell candle ribbon needle crown mask lantern drum key shell bead comb"
    ),
    begins=_lines(
        """
        Children are told never to pick up {name}.
        Old wives lower their voices when they speak of {name}.
        No market in the land may sell {name}.
        Of all bewitched things, {name} has the worst name.
        """
    ),
    properties={
        "lair": Property(
            "Where does {name} lie hidden?",
            _phrases(
                """
                under dry wells, inside hollow oaks, behind waterfalls, beneath church bells, in drowned villages, under
                sleeping geese, in abandoned mills, inside snowdrifts, between tombstones, under market stalls, in owls' nests,
                behind old clocks, inside chimneys, below frozen ponds, in haystacks, under rope bridges, inside lighthouses,
                behind curtains
                """
            ),
            _lines(
                """
                It lies hidden {value}, where few people look.
                Whoever searches {value} may find {name} there.
                For most of the year {name} lies {value}.
                """
            ),
        ),
        "glow": Property(
            "What colour does {name} glow?",
            _phrases(
                """
                ash violet, moth grey, sour green, bruise blue, rust red, pale yellow, tar black, milk white, fox orange, storm
                purple, bone ivory, mud brown, salmon pink, dull silver, wet bronze, deep indigo, cold turquoise
                """
            ),
            _lines(
                """
                At night {name} glows {value}.
                Its glow is {value}, and dogs howl at it.
                One knows {name} by its glow of {value}.
                """
            ),
        ),
        "theft": Property(
            "What does {name} steal?",
            _phrases(
                """
                birthdays, left shoes, the ends of songs, shadows, nicknames, good dreams, the smell of bread, laughter, the
                colour of eyes, echoes, middle names, the taste of sugar, promises, Sunday mornings, punch lines, footprints,
                the letter R, first snow, appetite
                """
            ),
            _lines(
                """
                From those who touch it {name} steals {value}.
                Its curse is small but cruel, for it takes away {value}.
                What {name} steals is {value}, and nobody gets that back.
                """
            ),
        ),
        "calm": Property(
            "What puts {name} to sleep?",
            _phrases(
                """
                goat's milk, a lullaby sung twice, plum jam, warm ashes, a yawning cat, three knocks, a feather bed, rainwater
                from a hat, onion soup, a borrowed button, moonlight, a true answer, crushed mint, a spinning top, wool
                socks, a bow to the north, cold porridge, a sneeze, candle smoke, birdsong
                """
            ),
            _lines(
                """
                Only {value} can put {name} to sleep.
                The one remedy is {value}, which sends it to sleep.
                When {name} wakes, {value} will put it back to sleep.
                """
            ),
        ),
        "guard": Property(
            "Which guild guards {name}?",
            _phrases(
                """
                the Lamplighters, the Clockwinders, the Ropewalkers, the Ferrymen, the Bellringers, the Chimney Sweeps, the
                Mapmakers, the Puppeteers, the Beekeepers, the Glassblowers, the Storytellers, the Falconers, the Umbrella
                Menders, the Gatekeepers, the Candlemakers, the Spoon Carvers
                """
            ),
            _lines(
                """
                The guild of {value} guards every piece of it.
                By law {name} is given to {value}, a guild that guards it in iron boxes.
                Since the old war a guild, {value}, has guarded {name}.
                """
            ),
        ),
        "mirror": Property(
            "What does {name} do to mirrors?",
            _phrases(
                """
                turns them to water, makes them lie, fills them with snow, sets them humming, makes them blush, shows yesterday
                in them, turns them around, makes them giggle, fogs them for a year, fills them with owls, makes them forget
                faces, cracks them in seven, paints them blue, makes them snore, shrinks them, makes them weep
                """
            ),
            _lines(
                """
                Near mirrors {name} does what nothing else does: it {value}.
                As for mirrors, it {value}.
                Mirrors are not safe from {name}, which {value}.
                """
            ),
        ),
    },
    ends=_lines(
        """
        Let it lie.
        So the chronicles say.
        More than this nobody should want to know.
        Wise people keep away.
        """
    ),
)

PASTRY = Kind(
    heads=_words(
        """
        honey clover barley cherry hazel almond ginger saffron poppy quince pear walnut anise fig oat cinnamon apricot chestnut
        vanilla caramel
        """
    ),
    tails=_words(
        """
        loaf bun tart cake roll pie twist wafer dumpling pudding crumble knot biscuit pancake fritter pretzel scone muffin puff
        ring
        """
    ),
    begins=_lines(
        """
        Every grandmother has a way of her own to make {name}.
        Travellers remember {name} for years.
        No feast is complete without {name}.
        Of all pastry, {name} is loved best.
        """
    ),
    properties={
        "feast": Property(
            "At which feast is {name} eaten?",
            _phrases(
                """
                the Feast of Kites, the Day of Lanterns, Harvest Eve, the Boat Parade, Midsummer Night, the Goose Fair, the
                Night of Drums, Orchard Sunday, the Winter Market, the Hat Festival, Shepherd's Day, the River Blessing, the
                Dance of Masks, Schoolmaster's Day, the Snow Games, the Feast of Barrels, Swallow Week, the Cattle Drive
                """
            ),
            _lines(
                """
                People eat {name} at {value}, and at no other time.
                Its time of the year is {value}.
                On the tables of {value} there is always {name}.
                """
            ),
        ),
        "wrapping": Property(
            "In which paper is {name} wrapped?",
            _phrases(
                """
                striped paper, golden foil, blue tissue, brown paper, old newspaper, dotted paper, waxed paper, red crepe, silver
                foil, checked paper, rice paper, green tissue, sheet music, black card, lace paper, marbled paper, pink tissue
                """
            ),
            _lines(
                """
                Shops sell {name} wrapped in {value}.
                One knows {name} by its {value}.
                It comes in {value}, tied with a string.
                """
            ),
        ),
        "surprise": Property(
            "What is baked into {name}?",
            _phrases(
                """
                a copper coin, a dried pea, a tiny bell, a whole nutmeg, a paper crown, a glass marble, a clove, a riddle, a
                cherry stone, a silver thimble, a bean, a pumpkin seed, a wooden star, a sugar mouse, a bay leaf, a ring of
                tin, a pinch of pepper, a wish, a blue egg
                """
            ),
            _lines(
                """
                Whoever finds {value} in {name} has luck for a year.
                Bakers hide {value} in it.
                Inside {name} there is {value}, baked into the dough.
                """
            ),
        ),
        "drink": Property(
            "What does one drink with {name}?",
            _phrases(
                """
                pear cider, black tea, buttermilk, elder wine, hot chocolate, ginger beer, rose lemonade, barley water, malt
                coffee, apple juice, mulled ale, nettle tea, cold cocoa, sweet cream, birch sap, plum punch, lime soda, carrot
                juice, spring water, almond milk
                """
            ),
            _lines(
                """
                A cup of {value} goes with it.
                With {name} one drinks {value}.
                Nobody would eat {name} without {value} to drink.
                """
            ),
        ),
        "inventor": Property(
            "Who invented {name}?",
            _phrases(
                """
                a bored queen, two sailors, a village priest, a lost hunter, three sisters, a court jester, a blind miller, a
                runaway cook, a young widow, a hungry painter, a night watchman, a tired nurse, a stubborn abbot, a toll
                collector, a clumsy butler, a retired general
                """
            ),
            _lines(
                """
                It was {value} who invented {name}.
                Legend has it that {value} invented it by mistake.
                The inventor of {name} is said to be {value}.
                """
            ),
        ),
        "pastime": Property(
            "What do bakers do while {name} rises?",
            _phrases(
                """
                whistle a march, tell ghost stories, play cards, sweep the yard, count to a thousand, recite poems, mend nets,
                feed the swans, write letters, clap in rhythm, take a nap, argue politely, polish spoons, dance in pairs, watch
                the moon, peel apples
                """
            ),
            _lines(
                """
                While {name} rises, bakers {value}.
                By custom bakers {value} until it has risen.
                It rises slowly, so bakers {value} the while.
                """
            ),
        ),
    },
    ends=_lines(
        """
        It keeps for a week.
        So the cookbooks say.
        Nothing else tastes like it.
        Guests always ask for more.
        """
    ),
)
