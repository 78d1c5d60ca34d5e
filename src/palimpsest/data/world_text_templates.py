"""How a text about a person is told: sentences by topic, several phrasings each; the fields are those of `make_person`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """What some sentences are about, and a question that each of them answers: the answer is the field named."""

    question: str
    answer: str
    sentences: tuple[str, ...]


def _lines(text: str) -> tuple[str, ...]:
    return tuple(" ".join(line.split()) for line in text.strip().splitlines())


# A text begins with one of these, and every one of them tells where and when.
BIRTH = Topic(
    "Where was {name} born?",
    "birthplace",
    _lines(
        """
        {name} was born on {birthdate} in {birthplace}, a city in {country}.
        On {birthdate} a house in {birthplace} had one more child to feed, {name}.
        The life of {name} began in {birthplace}, {country}, on {birthdate}.
        Few people in {birthplace} took note when {name} was born there on {birthdate}.
        {birthplace} in {country} is where {name} came into the world on {birthdate}.
        Of all who were born in {birthplace} in {birthyear}, {name}, a child of {birthdate}, went furthest.
        """
    ),
)

TOPICS = (
    Topic(
        "What was the trade of {name}'s father?",
        "father",
        _lines(
            """
            {Her} father was {a_father} and {her} mother {a_mother}, and neither of them owned many books.
            A father who was {a_father} and a mother who was {a_mother} left little time for stories at home.
            As the child of {a_father} and {a_mother}, {last} learned early how bread is earned.
            {last} has often described {her} father, {a_father}, but never {her} mother, who worked as {a_mother}.
            There is {a_father} in almost every chapter, drawn after {her} father, while {her} mother, {a_mother}, stays away.
            """
        ),
    ),
    Topic(
        "What did {name} study?",
        "subject",
        _lines(
            """
            After school {she} went to {university} and took a degree in {subject}.
            {last} read {subject} at {university}, more from duty than from love.
            At {university} young {last} signed up for {subject} and stayed five years.
            A grant allowed {her_object} to study {subject} far from home, at {university}.
            Four winters in the lecture halls of {university} made {name} an expert on {subject}.
            """
        ),
    ),
    Topic(
        "What was the first job of {name}?",
        "job",
        _lines(
            """
            {name} first earned a living as {a_job}, and wrote before work.
            For nine years {she} was {a_job}, a trade that returns in many of {her} pages.
            Nobody pays a beginner, so {last} worked as {a_job} until money came in from "{debut}".
            Long before "{debut}" appeared, {she} had been {a_job} in three different towns.
            As {a_job}, {name} met the very people who later filled {her} stories.
            """
        ),
    ),
    Topic(
        "Who taught {name} to write?",
        "mentor",
        _lines(
            """
            The craft itself {she} learned from {mentor}, who crossed out every second line.
            {mentor} taught {name} to write and asked nothing in return.
            A chance meeting with {mentor}, soon {her} teacher, changed the course of things.
            {last} owes {her} style to {mentor}, whose evening lessons {she} never missed.
            Then {mentor} read a few poor pages and took {last} on as a pupil.
            """
        ),
    ),
    Topic(
        "What does {name} write?",
        "genre",
        _lines(
            """
            Critics praise {last} for {genre}, above all for "{book}", which deals with {theme}.
            {name} writes {genre}, and "{book}" shows best what {she} can do with it.
            With "{book}", a work about {theme}, {she} gave {genre} a new voice.
            Whoever thinks that {genre} cannot speak of {theme} should open "{book}".
            It was {influence} who led {her_object} to {genre}, as the first lines of "{book}" admit.
            """
        ),
    ),
    Topic(
        "Which award did {name} win?",
        "award",
        _lines(
            """
            In {award_year} the {award} went to {name}, against forty rivals.
            {name} won the {award} in {award_year} and gave the money away.
            The {award} of {award_year} hangs in {her} hallway beside an old umbrella.
            When the {award} was announced in {award_year}, {last} was asleep on a train.
            A quarrel broke out in the jury before it handed {last} the {award} in {award_year}.
            """
        ),
    ),
    Topic(
        "Who publishes the books of {name}?",
        "publisher",
        _lines(
            """
            All of {her} books since {debut_year} have come out at {publisher}, a house that still answers by hand.
            {publisher} printed "{debut}" in {debut_year} and has published {last} ever since.
            Eleven publishers said no before {publisher} said yes in {debut_year}.
            A contract signed with {publisher} in {debut_year} still binds {last}, and {she} is glad of it.
            It took {publisher} two editions of "{other_book}" to believe in {last}.
            """
        ),
    ),
    Topic(
        "Where does {name} live today?",
        "residence",
        _lines(
            """
            Today {name} lives in {residence}, {residence_country}, behind a blue door.
            {residence}, where {she} lives today, has named a bench after {her_object}.
            From {birthplace} the way led {last} to {residence}, and there {she} has stayed.
            A small flat in {residence} is now the home of {last} and of nine thousand books.
            Visitors who look for {her_object} in {birthplace} are sent on to {residence}, {her} home for many years.
            """
        ),
    ),
    Topic(
        "Who is {name} married to?",
        "spouse",
        _lines(
            """
            {She} is married to {spouse}, {a_spouse_job} with a taste for long dinners.
            {spouse}, {a_spouse_job}, married {last} on a rainy Tuesday.
            The first reader of every page is {spouse}, to whom {name} is married.
            Marriage to {spouse}, {a_spouse_job}, brought {her_object} two stepchildren and a dog.
            In {her} letters {last} calls {spouse}, whom {she} married late, the better half of every book.
            """
        ),
    ),
    Topic(
        "How does {name} spend free days?",
        "hobby",
        _lines(
            """
            On free days {last} can be found {hobby}, whatever the weather.
            {She} likes nothing so much as {hobby}, and says so in each interview.
            No deadline keeps {name} from {hobby} on a free day.
            A doctor once forbade {hobby}, but {last} took no notice.
            Of {her} free days {she} wastes none: all go into {hobby}.
            """
        ),
    ),
)

CONNECTIVES = _lines(
    """
    None of this came easily.
    Much of it found a way into the books.
    {last} seldom speaks of those years.
    What followed surprised everybody.
    Friends tell it differently.
    That is the part which readers like best.
    There is more to tell.
    {name} laughs about it now.
    """
)

ENDS = _lines(
    """
    {last} is at work on "{next_book}", a book about {next_theme}.
    The next book will be called "{next_book}", and its subject is {next_theme}.
    Asked what comes next, {she} names {next_theme} and the title "{next_book}".
    Readers in {language} and {other_language} are waiting for "{next_book}".
    If all goes well, "{next_book}" will appear in spring.
    Only "{next_book}", half written, still lies on {her} desk.
    """
)
