"""docs/how-it-works.md shows the tables as the code has them."""

from tools import tables


def test_the_page_shows_the_tables_of_the_code():
    text = tables.PAGE.read_text(encoding="utf-8")
    assert tables.page(text) == text, "run make tables"
