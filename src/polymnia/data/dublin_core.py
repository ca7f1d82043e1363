"""What a drawing says of itself: title, keywords and author from the Dublin Core block of an SVG file."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from polymnia.errors import DataError

WORK = re.compile(rb"<(?:[\w.-]+:)?Work\b.*?</(?:[\w.-]+:)?Work\s*>", re.DOTALL)
PREFIX = re.compile(r"(</?)[\w.-]+:(?=[\w.-])")
ATTRIBUTE = re.compile(r"""\s[\w.:-]+\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True)
class Work:
    """One drawing's title, keywords and author, each empty where it does not say."""

    title: str = ""
    keywords: tuple[str, ...] = ()
    author: str = ""


def read_work(svg: bytes) -> Work:
    """Return what an SVG drawing says of itself; nothing where it has no such block.

    Only the block is parsed, without its attributes and the prefixes of its names: it is the same in the many
    dialects that drawing programs write, and neither the drawing nor its entities are read.

    Raises
    ------
    DataError
        The block is no XML, or not UTF-8.

    Examples
    --------
    >>> said = b"<dc:title> A  cow </dc:title><dc:subject><rdf:Bag><rdf:li>farm</rdf:li></rdf:Bag></dc:subject>"
    >>> read_work(b"<svg><cc:Work>" + said + b"<dc:creator><cc:Agent><dc:title>Ann</dc:title></cc:Agent></dc:creator>"
    ...           b"</cc:Work></svg>")
    Work(title='A cow', keywords=('farm',), author='Ann')
    """
    found = WORK.search(svg)
    if found is None:
        return Work()
    try:
        text = ATTRIBUTE.sub("", PREFIX.sub(r"\1", found[0].decode("utf-8")))
        block = ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise DataError(f"its block of metadata cannot be read: {error}") from None
    keywords = (_plain(entry.text) for entry in block.findall("subject//li"))
    return Work(
        title=_plain(block.findtext("title")),
        keywords=tuple(keyword for keyword in keywords if keyword),
        author=_plain(block.findtext("creator/Agent/title")),
    )


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())
