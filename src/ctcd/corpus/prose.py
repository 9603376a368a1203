"""Natural-language paragraphs out of Python sources and package descriptions (reStructuredText or Markdown)."""

import inspect
import re
from collections.abc import Iterator
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
    r"|^(?P<comment>[ \t]*#.*(?:\n[ \t]*#.*)*)",
    re.MULTILINE,
)
_COMMENT_MARK = re.compile(r"^[ \t]*#+[:!]?", re.MULTILINE)

_FENCE = re.compile(r"```|~~~")
_CODE_LINE = re.compile(r">>>|\.\.\.|In \[\d|\$ |\||\+[-=]|%")
_ADMONITION = re.compile(r"\.\. (?:note|warning|tip|important|caution|attention|hint|seealso)::\s*")
_FIELD = re.compile(r":[\w* ,.\[\]]+:(?!`)|@\w+")
_UNDERLINE = re.compile(r"[-=~^*#_+`.:\"'<>\s]{3,}$")
_TITLE_OR_TABLE = re.compile(r"#+ |.*\S {3,}\S")
_BULLET = re.compile(r"(?:[-*+•]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+(?=\S)")
_ENTRY = re.compile(r"\*{0,2}`{0,2}[a-z_][\w.]*`{0,2} ?(?:\([^)]*\))?:(?!:)")

_ROLE = re.compile(r":[\w:+-]+:`([^`]*)`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^>`]*>`_{0,2}")
_CODE = re.compile(r"``([^`]+)``|`([^`]+)`_{0,2}")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3})(\w(?:[^*]*\w)?[.!?]?)\1(?!\w)")
_MARKDOWN_LINK = re.compile(r"!?\[([^\]]+)\]\([^)]*\)")
_CITATION = re.compile(r"\s*\[#?[\w\s*-]{0,12}\]_")
_CITATION_IN_SENTENCE = re.compile(r"\b(?:in|see|by|of|from|and|to|with|cf\.|ref\.?|also)\s*\[#?[\w\s*-]{0,12}\]_", re.IGNORECASE)
_LABEL = re.compile(r"(?:notes?|nb|n\.b\.|warning|tip|important|hint|caution|remarks?) ?: +", re.IGNORECASE)

_BOUNDARY = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?<!cf\.)(?<!al\.)(?<!etc\.)(?<!Fig\.)(?<!Eq\.)(?<!No\.) (?=[\"'(]?[A-Z])"
    r"|(?<=[.!?][\"')]) (?=[\"'(]?[A-Z])"
)
_SENTENCE = re.compile(r"[\"'(]?[A-Z][^{}<>=|\\^~@#$*`\[\]+]*(?<!e\.g)(?<!i\.e)(?<!etc)[.!?][\"')]{0,2}$")
_WORD = re.compile(r"[\"'(]?[A-Za-z]?[a-z]*(?:['’-][A-Za-z]?[a-z]+)*[\"')]?[.,;:!?]?[\"')]?$")
_UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|nocommit|noqa)\b")
_LEGAL = re.compile(r"licen[cs]ed? under|copyright|warrant(?:y|ies)|redistribut|permission is hereby", re.IGNORECASE)
_IDENTIFIER_GAP = re.compile(r"(?<=[^\W_])_+(?=[^\W_])")
_LETTERS = re.compile(r"[a-z'’]+")

_FINITE_VERBS = frozenset(
    "is are was were am be isn't aren't wasn't weren't has have had hasn't haven't do does did don't doesn't didn't can "
    "cannot can't could couldn't will won't would wouldn't shall should shouldn't may might must need needs contains "
    "returns uses allows gives means makes takes requires provides depends applies exists occurs happens it's that's "
    "there's we're you're they're let's".split()
)
_FUNCTION_WORDS = _FINITE_VERBS | frozenset(
    "a an the of to in and or not no nor if it its this that these those for with by on at as from which when where "
    "while than then so but such any all each some more most other only also into between both their they there you "
    "your we our i he she his her one how what who about out up over after before because until since without within "
    "during through same very been being".split()
)


def read_module(path: str) -> list[str]:
    """Paragraphs of prose in a Python file, in order; none where it cannot be read."""
    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [paragraph for text in read_documentation(source) for paragraph in read_prose(text)]


def read_documentation(source: str) -> Iterator[str]:
    """Docstrings (any triple-quoted string) and comments of two lines or more, in order, without their quotes or #."""
    for match in _DOCUMENTATION.finditer(source):
        comment = match["comment"]
        if comment is None:
            prefix = source[max(0, match.start() - 2) : match.start()].lower()
            if prefix[-1:] not in ("f", "b") and prefix not in ("fr", "br"):
                yield (match["double"] or match["single"] or "").replace("\\\n", "")
        elif "\n" in comment:
            yield _COMMENT_MARK.sub("", comment)


def read_prose(markup: str) -> Iterator[str]:
    """Paragraphs of marked-up text that read as prose, as plain words."""
    for paragraph in _split_paragraphs(markup):
        if len(paragraph) >= 4 * _MINIMUM_WORDS:
            prose = _longest_prose(_plain(paragraph))
            if prose:
                yield prose


def _text_lines(markup: str) -> Iterator[tuple[int, str]]:
    """Indentation and text of each line; code, literal blocks, directives and field lists leave an empty line."""
    literal_below = _NO_LITERAL  # lines indented deeper than this belong to a literal block
    in_fence = in_code = False
    previous = (0, "")
    for line in inspect.cleandoc(markup).splitlines():
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if not text:
            in_code = False
            if previous[1].endswith("::"):
                literal_below = previous[0]
        elif _FENCE.match(text):
            in_fence = not in_fence
            text = ""
        elif in_fence or in_code or depth > literal_below:
            continue
        else:
            literal_below = _NO_LITERAL
            admonition = _ADMONITION.match(text)
            if admonition:
                yield 0, ""
                depth, text = depth + 3, text[admonition.end() :]
            elif text.startswith(".. ") or _FIELD.match(text):
                literal_below, text = depth, ""
            elif _CODE_LINE.match(text):
                in_code, text = True, ""
        previous = (depth, text)
        yield previous


def _split_paragraphs(markup: str) -> list[str]:
    """Paragraphs, each on one line. A bullet or a change of indentation starts one: terms part from definitions."""
    paragraphs: list[list[str]] = [[]]
    indentation = 0
    for depth, text in _text_lines(markup):
        if not text or _TITLE_OR_TABLE.match(text):
            paragraphs.append([])
            continue
        if _UNDERLINE.match(text):
            if len(paragraphs[-1]) == 1:  # the title that is underlined
                paragraphs[-1].clear()
            paragraphs.append([])
            continue
        bullet = _BULLET.match(text)
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
    if text.endswith(":") and text[:-1].rpartition(" ")[2] not in _FUNCTION_WORDS:  # what it introduced is left out
        text = text[:-1] + "."
    return text


def _plain_role(match: re.Match[str]) -> str:
    if match[0].startswith((":math", ":eq", ":raw")):
        return "\\"
    target = match[1].partition(" <")[0]
    return target.rpartition(".")[2] if target.startswith("~") else target.removeprefix("!")


def _plain_code(match: re.Match[str]) -> str:
    code: str = match[1] or match[2]
    return "\\" if code in _FUNCTION_WORDS else code


def _longest_prose(paragraph: str) -> str:
    """The longest run of clean sentences, or "" where it is too short to be a paragraph or reads like a caption."""
    best, run = "", ""
    for sentence in _BOUNDARY.split(paragraph):
        run = f"{run} {sentence}".strip() if _is_sentence(sentence) else ""
        if len(run) > len(best):
            best = run
    words = _LETTERS.findall(best.lower())
    if len(words) < _MINIMUM_WORDS or _UNFINISHED.search(best) or _LEGAL.search(best):
        return ""
    function_words = sum(word in _FUNCTION_WORDS for word in words)
    has_verb = not _FINITE_VERBS.isdisjoint(words)
    if not has_verb or function_words < _MINIMUM_FUNCTION_WORDS * len(words):
        return ""
    return _IDENTIFIER_GAP.sub(" ", best).replace("_", "")


def _is_sentence(text: str) -> bool:
    if not _SENTENCE.match(text):
        return False
    words = text.split()
    odd = sum(not _WORD.match(word) for word in words)
    return 3 <= len(words) <= 90 and odd <= _MAXIMUM_ODD_WORDS * len(words)
