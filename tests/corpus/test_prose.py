"""What is kept of documentation reads as prose; all else falls."""

import textwrap

import pytest

from ctcd.corpus.prose import read_documentation, read_module, read_prose

SENTENCE = "The function returns the number of words that it has found in the text."


def prose(markup: str) -> list[str]:
    return list(read_prose(textwrap.dedent(markup)))


def test_docstrings_and_comments_are_found_in_order() -> None:
    source = textwrap.dedent('''\
        # A comment at the top
        # of two lines.
        """Docstring of the module."""
        x = 1  # not this: it is behind code
        # Not this either: one line.
        def f():
            r\'\'\'Docstring with a \\d and "quotes" in it.\'\'\'
            #: Another comment,
            #: over two lines.
            y = f"""not this {x}"""
            z = b"""nor this"""
            w = "# nor this one\\n"
    ''')
    assert [" ".join(text.split()) for text in read_documentation(source)] == [
        "A comment at the top of two lines.",
        "Docstring of the module.",
        'Docstring with a \\d and "quotes" in it.',
        "Another comment, over two lines.",
    ]


def test_lines_of_a_paragraph_are_joined_and_blank_lines_part_paragraphs() -> None:
    second = SENTENCE.replace("words", "letters")
    assert prose(f"{textwrap.fill(SENTENCE, 30)}\n\n{textwrap.fill(second, 40)}\n") == [SENTENCE, second]


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("Use ``None`` if the value is not known to the caller.", "Use None if the value is not known to the caller."),
        (
            "What :class:`~package.Reader` does is this, and all the rest of it.",
            "What Reader does is this, and all the rest of it.",
        ),
        (
            "The *first* one is **never** changed by what is called.",
            "The first one is never changed by what is called.",
        ),
        (
            "See `the guide <https://a.org/x>`_ if you are in doubt about it.",
            "See the guide if you are in doubt about it.",
        ),
        (
            "See [the guide](https://a.org/x) if you are in doubt about it.",
            "See the guide if you are in doubt about it.",
        ),
        (
            "It is due to Newton [1]_ and is used in most of the cases.",
            "It is due to Newton and is used in most of the cases.",
        ),
        (
            "Note: this is what is seen when there is nothing to read.",
            "This is what is seen when there is nothing to read.",
        ),
        (
            "They are counted by n_samples, which is not less than two.",
            "They are counted by n samples, which is not less than two.",
        ),
        (
            "In the example there is only one of the two arguments::",
            "In the example there is only one of the two arguments.",
        ),
        ("- It is an item of a list, kept without its mark.", "It is an item of a list, kept without its mark."),
    ],
)
def test_inline_markup_becomes_plain_words(markup: str, plain: str) -> None:
    assert prose(markup) == [plain]


@pytest.mark.parametrize(
    "markup",
    [
        f">>> print('{SENTENCE}')\n{SENTENCE}",
        f"::\n\n    {SENTENCE}",
        f".. code-block:: text\n\n    {SENTENCE}\n    {SENTENCE}",
        f"```\n{SENTENCE}\n```",
        f"| {SENTENCE} |",
        f":param words: {SENTENCE}\n    {SENTENCE}",
        "words (int): the number of the words that are found in the text.",
        "words : int, optional\nThe number of words",
        "https://example.org/the/page/that/is/the/one/to/read/about/it.html",
        "if the_value is not None and the_other == [1, 2, 3]: return the_value",
        "+-----+-----+\n|  a  |  b  |\n+-----+-----+",
        "The title of a section that is underlined, and is long enough.\n" + "-" * 60,
        "See :math:`x^2` in the formula that is given above for the value of it.",
        "Licensed under the terms that are given in the file that came with it.",
        "TODO: this is what should be done about it when there is time for it.",
        "A list of names of columns and rows of tables in files on disks.",
        "When the value of the key is not in the list of the names.",
        "Short, but it is a sentence.",
        "no capital letter at the beginning of what is otherwise a good sentence.",
        "There is no full stop at the end of what is otherwise a good sentence",
    ],
)
def test_what_is_no_prose_is_left_out(markup: str) -> None:
    assert prose(markup) == []


def test_prose_around_code_is_kept() -> None:
    second = SENTENCE.replace("words", "letters")
    markup = f"""
        {SENTENCE}

            >>> count("a b")
            2

        Parameters
        ----------
        text : str
            {second}

        .. note::
            The note is kept, because it is as good a sentence as the others are.
    """
    assert prose(markup) == [
        SENTENCE,
        second,
        "The note is kept, because it is as good a sentence as the others are.",
    ]


def test_the_longest_run_of_clean_sentences_of_a_paragraph_is_kept() -> None:
    assert prose(f"This is short. Here x = [1, 2] is bad. {SENTENCE} It is an integer.") == [
        f"{SENTENCE} It is an integer."
    ]


def test_a_module_that_cannot_be_read_has_no_paragraphs(tmp_path) -> None:
    (tmp_path / "latin.py").write_bytes(f'"""{SENTENCE} Caf\xe9."""'.encode("latin-1"))
    (tmp_path / "broken.py").write_text(f'def f(:\n    """{SENTENCE}"""', encoding="utf-8")
    assert read_module(str(tmp_path / "latin.py")) == []
    assert read_module(str(tmp_path / "missing.py")) == []
    assert read_module(str(tmp_path / "broken.py")) == [SENTENCE]
