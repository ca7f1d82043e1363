"""Families: which samples are near-duplicates of each other, judged by their names and captions."""

import re
from collections.abc import Iterable, Mapping

COLOURS = frozenset(
    ["black", "blue", "brown", "checkered", "gold", "golden", "gray", "green", "grey", "pink", "purple", "red",
     "silver", "white", "yellow"]
)  # fmt: skip
SIZES_AND_AGES = frozenset(["big", "little", "small", "tiny", "new", "old", "young", "left", "right"])
MINOR_WORDS = COLOURS | SIZES_AND_AGES | {"and", "of", "the", "with"}
"""Colours, sizes, ages and small words: they tell variants of one thing apart, not two things."""

Node = tuple[str, ...]


def families(captions: dict[str, str]) -> dict[str, str]:
    """Return name → family, of English captions by name; near-duplicates are in one family.

    Two samples are in one family when they have the same English caption (letters and digits, in whichever case),
    or are in one folder and have the same `head` of their names; and so on along the chain. A family is called
    after its first member.

    Examples
    --------
    >>> families({"coins/001penny": "1 cent", "coins/005nickel": "5 cents", "a/cow_white": "A cow.", "b/cow": "a cow"})
    {'a/cow_white': 'a/cow_white', 'b/cow': 'a/cow_white', 'coins/001penny': 'coins/001penny', \
'coins/005nickel': 'coins/001penny'}
    """
    shared: dict[str, list[Node]] = {}
    for name, caption in captions.items():
        folder, _, stem = name.rpartition("/")
        words = re.findall(r"\w+", caption.casefold())
        shared[name] = [("head", folder, head(stem)), *([("caption", *words)] if words else [])]
    return linked(shared)


def linked(shared: Mapping[str, Iterable[Node]]) -> dict[str, str]:
    """Return name → family, of what each has that makes others with the same its kin; and so on along the chain.

    A family is called after its first member.

    Examples
    --------
    >>> linked({"a": [("red",)], "b": [("red",), ("round",)], "c": [("round",)], "d": []})
    {'a': 'a', 'b': 'a', 'c': 'a', 'd': 'd'}
    """
    leader: dict[Node | str, Node | str] = {}

    def lead(node: Node | str) -> Node | str:
        while leader.setdefault(node, node) != node:
            leader[node] = leader[leader[node]]  # shorter for whoever comes next: series have a thousand members
            node = leader[node]
        return node

    for name, marks in shared.items():
        for mark in marks:
            leader[lead(mark)] = lead(name)
    first: dict[Node | str, str] = {}
    return {name: first.setdefault(lead(name), name) for name in sorted(shared)}


def head(stem: str) -> str:
    """Return the word of a file name that says what is in the picture; "" when it is one of a numbered series.

    The first word that is neither a letter, a number, nor one of `MINOR_WORDS` (which may also be glued to it).

    Examples
    --------
    >>> [head(name) for name in ("lion-2", "cow_white", "redflag", "asl_b", "001penny", "towTruck", "7", "Q_outline")]
    ['lion', 'cow', 'flag', 'asl', '', 'tow', '', 'outline']
    """
    if stem[:1].isdigit():
        return ""
    for word in re.findall(r"[a-z]{2,}", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).lower()):
        if word not in MINOR_WORDS:
            glued = (minor for minor in MINOR_WORDS if len(minor) > 2 and word.startswith(minor))
            rest = word[max((len(minor) for minor in glued), default=0) :]
            return rest if len(rest) > 2 else word
    return ""
