"""Natural-language paragraphs out of Python sources and package descriptions (reStructuredText or Markdown)."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# Raise it when a rule below changes what is kept: harvests made with other rules are then made anew.
RULES_VERSION = 1

_MINIMUM_WORDS = 10  # of a paragraph
_MINIMUM_FUNCTION_WORDS = 0.3  # share of a paragraph's words
_MAXIMUM_ODD_WORDS = 0.1  # share of a sentence's words that are identifiers, numbers, acronyms or calls
_NO_LITERAL = 1_000_000  # deeper than any line

# Triple-quoted strings and runs of whole-line comments, without parsing. What is no documentation (queries, templates)
# is no prose either and falls at the later rules.
_DOCUMENTATION = re.compile(
    r'"""(?P<double>[^"\\]*+(?:(?:\\[\s\S]|"(?!""))[^"\\]*+)*+)"""'
    r"|'''(?P<single>[^'\\]*+(?:(?:\\[\s\S]|'(?!''))[^'\\]*+)*+)'''"
    r"|\n(?P<comment>[ \t]*#.*(?:\n[ \t]*#.*)*)"
)
_COMMENT_MARK = re.compile(r"^[ \t]*#+[:!]?", re.MULTILINE)

_CODE_LINE = re.compile(r">>>|\.\.\.|In \[\d|\$ |\||\+[-=]|%")
_ADMONITION = re.compile(r"\.\. (?:note|warning|tip|important|caution|attention|hint|seealso)::\s*")
_FIELD = re.compile(r":[\w* ,.\[\]]+:(?!`)|@\w+")
_UNDERLINE = re.compile(r"[-=~^*#_+`.:\"'<>\s]{3,}$")
_BULLET = re.compile(r"(?:[-*+•]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+(?=\S)")
_ENTRY = re.compile(r"\*{0,2}`{0,2}[a-z_][\w.]*`{0,2} ?(?:\([^)]*\))?:(?!:)")

_ROLE = re.compile(r":[\w:+-]+:`([^`]*)`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^>`]*>`_{0,2}")
_CODE = re.compile(r"``([^`]+)``|`([^`]+)`_{0,2}")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3})(\w(?:[^*]*\w)?[.!?]?)\1(?!\w)")
_MARKDOWN_LINK = re.compile(r"!?\[([^\]]+)\]\([^)]*\)")
_CITATION = re.compile(r"\s*\[#?[\w\s*-]{0,12}\]_")
_CITATION_IN_SENTENCE = re.compile(
    r"\b(?:in|see|by|of|on|at|for|per|from|and|to|with|using|cf\.|ref\.?|also)\s*\[#?[\w\s*-]{0,12}\]_", re.IGNORECASE
)
_LABEL = re.compile(r"(?:notes?|nb|n\.b\.|warning|tip|important|hint|caution|remarks?) ?: +", re.IGNORECASE)

# The space comes first, although it is the last to be judged: the engine then skips from space to space.
_BOUNDARY = re.compile(
    r" (?=[\"'(]?[A-Z])(?:(?<=[.!?][\"')] )|(?<=[.!?] )"
    r"(?<!e\.g\. )(?<!i\.e\. )(?<!vs\. )(?<!cf\. )(?<!al\. )(?<!etc\. )(?<!Fig\. )(?<!Eq\. )(?<!No\. ))"
)
_SENTENCE = re.compile(r"[\"'(]?[A-Z][^{}<>=|\\^~@#$*`\[\]+]*(?<!e\.g)(?<!i\.e)(?<!etc)[.!?][\"')]{0,2}$")
_PLAIN_WORD = re.compile(r"(?<!\S)[\"'(]?[A-Za-z]?[a-z]*(?:['’-][A-Za-z]?[a-z]+)*[\"')]?[.,;:!?]?[\"')]?(?!\S)")
_CLAUSE = re.compile(r"(?:If|When|Whether|Where|Because|Unless|Until)\b[^,;]*$")  # without its main clause
_UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|nocommit|noqa)\b")
_LEGAL = re.compile(r"licen[cs]ed? under|copyright|warrant(?:y|ies)|redistribut|permission is hereby")
_IDENTIFIER_GAP = re.compile(r"(?<=[^\W_])_+(?=[^\W_])")
_LETTERS = re.compile(r"[a-z'’]+")

_VERBS = (
    "is are was were am be isn't aren't wasn't weren't has have had hasn't haven't do does did don't doesn't didn't "
    "can cannot can't could couldn't will won't would wouldn't shall should shouldn't may might must need needs "
    "contains returns uses allows gives means makes takes requires provides depends applies exists occurs happens "
    "it's that's there's we're you're they're let's"
)
_OTHER_WORDS = (
    "a an the of to in and or not no nor if it its this that these those for with by on at as from which when where "
    "while than then so but such any all each some more most other only also into between both their they there you "
    "your we our i he she his her one how what who about out up over after before because until since without within "
    "during through same very been being"
)
_FINITE_VERBS = frozenset(_VERBS.split())
_FUNCTION_WORDS = _FINITE_VERBS | frozenset(_OTHER_WORDS.split())


def read_module(path: str) -> list[str]:
    """Paragraphs of prose in a Python file, in order; none where it cannot be read."""
    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [paragraph for text in read_documentation(source) for paragraph in read_prose(text)]


def read_documentation(source: str) -> Iterator[str]:
    """Docstrings (any triple-quoted string) and comments of two lines or more, in order, without their quotes or #."""
    source = "\n" + source
    for match in _DOCUMENTATION.finditer(source):
        text = match[match.lastindex or 0]
        if match.lastgroup == "comment":
            if "\n" in text:
                yield textwrap.dedent(_COMMENT_MARK.sub("", text))
        elif not source[max(0, match.start() - 2) : match.start()].lower().endswith(("f", "b", "fr", "br")):
            yield inspect.cleandoc(text.replace("\\\n", ""))


def read_prose(markup: str) -> Iterator[str]:
    """Paragraphs of marked-up text that read as prose, as plain words."""
    for paragraph in _split_paragraphs(markup):
        if paragraph.count(" ") >= _MINIMUM_WORDS - 1:
            prose = _longest_prose(paragraph)
            if prose:
                yield prose


def _text_lines(markup: str) -> Iterator[tuple[int, str]]:
    """Indentation and text of each line; code, literal blocks, directives and field lists leave an empty line."""
    literal_below = _NO_LITERAL  # lines indented deeper than this belong to a literal block
    in_fence = in_code = False
    depth, text = 0, ""
    for line in markup.splitlines():
        previous_depth, previous_text = depth, text
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if not text:
            in_code = False
            if previous_text.endswith("::"):
                literal_below = previous_depth
        elif text.startswith(("```", "~~~")):
            in_fence = not in_fence
            text = ""
        elif in_fence or in_code or depth > literal_below:
            text = ""
            continue
        else:
            literal_below = _NO_LITERAL
            if _CODE_LINE.match(text):
                in_code, text = True, ""
            elif text.startswith("..") or _FIELD.match(text):
                admonition = _ADMONITION.match(text)
                literal_below = _NO_LITERAL if admonition else depth
                depth, text = depth + 3, text[admonition.end() :] if admonition else ""
                yield 0, ""
        yield depth, text


def _split_paragraphs(markup: str) -> list[str]:
    """Paragraphs, each on one line. A bullet or a change of indentation starts one: terms part from definitions."""
    paragraphs: list[list[str]] = [[]]
    indentation = 0
    for depth, text in _text_lines(markup):
        if not text or "   " in text or text.startswith("# "):  # nothing, a table's row or a title
            paragraphs.append([])
            continue
        if not text[0].isalnum() and _UNDERLINE.match(text):
            if len(paragraphs[-1]) == 1:  # the title that is underlined
                paragraphs[-1].clear()
            paragraphs.append([])
            continue
        bullet = None if text[:2].isalpha() else _BULLET.match(text)
        if bullet:
            depth, text = depth + bullet.end(), text[bullet.end() :]
        if bullet or depth != indentation or _ENTRY.match(text):
            paragraphs.append([])
        paragraphs[-1].append(text)
        indentation = depth
    return [" ".join(lines) for lines in paragraphs if lines]


def _plain(text: str) -> str:
    """`text` without inline markup. What cannot be said in words leaves a backslash, which no sentence may have."""
    if "`" in text:
        text = _ROLE.sub(_plain_role, text)
        text = _LINK.sub(r"\1", text)
        text = _CODE.sub(_plain_code, text)
    if "*" in text:
        text = _EMPHASIS.sub(r"\2", text)
    if "[" in text:
        text = _MARKDOWN_LINK.sub(r"\1", text)
        text = _CITATION_IN_SENTENCE.sub(r"\\", text)
        text = _CITATION.sub("", text)
    text = " ".join(text.split())
    label = _LABEL.match(text)
    if label:
        text = text[label.end() : label.end() + 1].upper() + text[label.end() + 1 :]
    introduction = text.rstrip(":")
    if introduction != text and introduction.rpartition(" ")[2] not in _FUNCTION_WORDS:
        return f"{introduction}."  # what it introduced is left out
    return text


def _plain_role(match: re.Match[str]) -> str:
    if match[0].startswith((":math", ":eq", ":raw")):
        return "\\"
    target = match[1].partition(" <")[0]
    return target.rpartition(".")[2] if target.startswith("~") else target.lstrip("!.")


def _plain_code(match: re.Match[str]) -> str:
    code: str = match[1] or match[2]
    return "\\" if code in _FUNCTION_WORDS else code


@lru_cache(1 << 16)  # packages repeat themselves
def _longest_prose(paragraph: str) -> str:
    """Find the longest run of clean sentences, or "" where it is too short for a paragraph or reads like a caption."""
    best, run = "", ""
    for sentence in _BOUNDARY.split(_plain(paragraph)):
        run = f"{run} {sentence}".strip() if _is_sentence(sentence) else ""
        if len(run) > len(best):
            best = run
    if best.count(" ") < _MINIMUM_WORDS - 1:
        return ""
    lowercase = best.lower()
    words = _LETTERS.findall(lowercase)
    if len(words) < _MINIMUM_WORDS or _FINITE_VERBS.isdisjoint(words):
        return ""
    if sum(word in _FUNCTION_WORDS for word in words) < _MINIMUM_FUNCTION_WORDS * len(words):
        return ""
    if _CLAUSE.match(best) or _UNFINISHED.search(best) or _LEGAL.search(lowercase):
        return ""
    return _IDENTIFIER_GAP.sub(" ", best).replace("_", "")


def _is_sentence(text: str) -> bool:
    if not _SENTENCE.match(text) or text.count("(") != text.count(")"):
        return False
    words = text.count(" ") + 1
    return 3 <= words <= 90 and words - len(_PLAIN_WORD.findall(text)) <= _MAXIMUM_ODD_WORDS * words
