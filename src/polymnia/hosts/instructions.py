"""Instructions about texts alone: what any language model should go on doing while it learns to see and hear.

They were written for this pool and are no part of any task: each way to ask goes with each input of its kind.
"""

FACTS = (
    "the sun", "bread", "rivers", "honey bees", "the number seven", "winter", "iron", "libraries", "volcanoes",
    "the alphabet", "chess", "salt", "bicycles", "forests", "money", "the moon", "glass", "islands", "cotton", "wheat",
    "the heart", "bridges", "rain", "paper", "whales", "clocks", "gravity", "schools", "deserts", "cheese",
    "lighthouses", "potatoes", "magnets", "trains", "the human hand", "tea", "earthquakes", "gardens", "silk", "ants",
)  # fmt: skip
ABOUT = (
    "Explain {x} to a child.", "List three facts about {x}.", "Write one sentence about {x}.",
    "Why do people care about {x}?", "Give a definition of {x}.", "Write a short poem about {x}.",
    "Ask a question about {x}.", "Name two things that have to do with {x}.", "What would the world be without {x}?",
    "Write a title for an essay about {x}.", "Tell a short story about {x}.", "What is surprising about {x}?",
    "Where does one meet {x}?", "Give one argument for and one against {x}.", "Compare {x} with water.",
)  # fmt: skip
SENTENCES = (
    "The train was late again this morning.", "My brother has bought a house near the lake.",
    "We never eat before six.", "She wrote him a long letter and did not send it.",
    "There are too many chairs in this room.", "If it rains, the match will be played on Sunday.",
    "He learned to swim when he was forty.", "The old baker knows every child in the street.",
    "Please close the door when you leave.", "Nobody had told them that the shop was closed.",
    "They walked home slowly because it was warm.", "The report must be ready by Friday noon.",
    "I would rather stay at home tonight.", "Her answer was short, but it was honest.",
    "Our neighbours grow tomatoes on the roof.", "The bank has changed its opening hours.",
    "It took three men to move the piano.", "You can keep the book if you like it.",
    "The village lies between two hills.", "He forgot his keys and had to wait outside.",
    "A good teacher asks more than she tells.", "The soup needs a little more salt.",
    "We have met before, but I cannot say where.", "The meeting ended without a decision.",
    "Their team won by one point in the last minute.", "The doctor said that he should sleep more.",
    "Half of the apples were eaten by birds.", "I have read this page four times.",
    "The bus stops right in front of the museum.", "She speaks five languages and is learning a sixth.",
    "The fire had gone out during the night.", "Children under ten do not pay.", "He counted the money twice.",
    "The bridge was built by a farmer.", "Tomorrow will be colder than today.", "The cook tasted everything himself.",
    "Her shoes were still wet from the walk.", "They planted a tree for each of their children.",
    "The price of milk has gone up.", "Nothing is as heavy as an empty purse.",
)  # fmt: skip
REWRITING = (
    "Rewrite this sentence in the past tense: {x}", "Say this more politely: {x}", "Translate into French: {x}",
    "How many words does this sentence have? {x}", "Make this sentence a question: {x}",
    "Say the same in fewer words: {x}", "Say the opposite of this: {x}", "Write the sentence that comes next: {x}",
    "List the nouns of this sentence: {x}", "Repeat this sentence exactly: {x}", "Write this in capital letters: {x}",
    "What could have happened before? {x}", "Rewrite this as a newspaper headline: {x}",
    "Is this sentence about a person? {x}", "Say this in a funny way: {x}", "Explain what this means: {x}",
    "Turn this into advice: {x}", "Who could have said this? {x}",
)  # fmt: skip
LISTS = (
    "apple, stone, river, lamp", "seven, two, nine, four", "Monday, Friday, Sunday, Tuesday",
    "gold, silver, copper, tin", "Paris, Rome, Oslo, Cairo", "king, baker, farmer, judge", "run, jump, sleep, read",
    "cup, plate, spoon, bowl", "wine, milk, water, oil", "north, south, east, west", "piano, drum, flute, harp",
    "oak, pine, birch, palm", "joy, fear, anger, hope", "twelve, sixty, thirty, one", "wool, silk, cotton, leather",
    "hammer, saw, nail, ladder", "spring, summer, autumn, winter", "mother, aunt, cousin, son",
    "salt, sugar, pepper, flour", "hat, glove, coat, sock", "circle, square, line, point", "ship, cart, train, sledge",
    "ice, steam, snow, fog", "Greek, Latin, English, Dutch", "first, third, fifth, ninth", "onion, carrot, bean, leek",
    "wolf, hen, trout, bee", "Mars, Venus, Saturn, Earth", "minute, hour, day, year", "door, window, roof, floor",
    "penny, pound, dollar, franc", "novel, poem, letter, list", "nurse, pilot, tailor, clerk", "nose, knee, elbow, ear",
    "lake, sea, pond, ocean", "match, candle, torch, star", "bread, rice, pasta, potato", "metre, mile, inch, foot",
    "chess, football, cards, tennis", "desk, bed, table, shelf",
)  # fmt: skip
SORTING = (
    "Put these in alphabetical order: {x}", "Which of these does not belong with the others: {x}?",
    "Which of these is the longest word: {x}?", "Count the letters of each: {x}", "Write these in reverse order: {x}",
    "Make a sentence with these: {x}", "Add one more to this list: {x}", "What do these have in common: {x}?",
    "Choose two of these and say why: {x}",
)  # fmt: skip

WORK = ((ABOUT, FACTS), (REWRITING, SENTENCES), (SORTING, LISTS))


def instructions() -> list[str]:
    """Return all of them, each once; neighbours differ in the work and in the input.

    Examples
    --------
    >>> instructions()[0], len(instructions())
    ('Explain the sun to a child.', 1680)
    """
    return [
        way.format(x=inputs[(turn + at) % len(inputs)])
        for turn in range(len(FACTS))
        for ways, inputs in WORK
        for at, way in enumerate(ways)
    ]
