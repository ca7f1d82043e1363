"""What drawings say of themselves, in the dialects of the programs that wrote them."""

import pytest

from polymnia.data.dublin_core import Work, read_work
from polymnia.errors import DataError

SAID = (
    "<dc:title>A   cow</dc:title><dc:publisher><cc:Agent><dc:title>Library</dc:title></cc:Agent></dc:publisher>"
    "<dc:creator><cc:Agent><dc:title>Ann</dc:title></cc:Agent></dc:creator>"
    "<dc:subject><rdf:Bag><rdf:li>farm</rdf:li><rdf:li/><rdf:li> wild  life </rdf:li></rdf:Bag></dc:subject>"
)
COW = Work(title="A cow", keywords=("farm", "wild life"), author="Ann")


@pytest.mark.parametrize(
    "block",
    [
        f"<cc:Work rdf:about=''>{SAID}</cc:Work>",
        f'<Work xmlns:dc = "a" rdf:about="x > y">{SAID}</Work >',
        f'<ns1:Work xmlns="&ns_cc;">{SAID.replace("dc:", "ns2:").replace("rdf:", "")}</ns1:Work>',
        f"<cc:Work>{SAID}</cc:Work><cc:Work><dc:title>Second</dc:title></cc:Work>",
    ],
)
def test_every_dialect_is_read(block):
    head = '<!DOCTYPE svg [<!ENTITY ns_cc "http://c">]><svg><title>T</title>'
    assert read_work((head + block + "</svg>").encode()) == COW


def test_what_is_not_said_is_empty():
    assert read_work(b"<svg/>") == read_work(b"") == Work()
    assert read_work(b"<svg><cc:Work><dc:title/></cc:Work></svg>") == Work()
    assert read_work(b"<svg><cc:Workshop>x</cc:Workshop></svg>") == Work()


@pytest.mark.parametrize("inside", [b"<dc:title>A & B</dc:title>", b"<dc:title>\xff</dc:title>", b"<a>&bomb;</a>"])
def test_a_damaged_block_says_so(inside):
    with pytest.raises(DataError, match="its block of metadata cannot be read"):
        read_work(b'<!DOCTYPE svg [<!ENTITY bomb "x">]><svg><cc:Work>' + inside + b"</cc:Work></svg>")
