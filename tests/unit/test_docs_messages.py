"""docs/messages.md shows the texts as the code has them."""

from tools import messages


def test_the_page_shows_the_texts_of_the_code():
    text = messages.PAGE.read_text(encoding="utf-8")
    assert messages.page(text) == text, "run make messages"


def test_a_run_s_values_are_shown_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(messages, "PACKAGE", tmp_path)
    (tmp_path / "some.py").write_text(
        '"""A docstring of some words."""\n'
        "def f(node, ids):\n"
        '    """Another one with words."""\n'
        '    reporter.status(f"moving {counted(len(ids))} nodes")\n'
        "    raise ConfigError(f\"{node.name!r} is {'not' if ids else 'still'} a \" + node.kind)\n"
    )
    assert [*messages.messages()] == [
        ("", "some.py", "progress", "moving {ids} nodes"),
        ("", "some.py", "error", "'{name}' is {not/still} a {kind}"),
    ]
