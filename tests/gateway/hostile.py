"""Values that no parameter and no filter should trip over: as texts of an address, and as values of a command."""

from __future__ import annotations

from typing import Any

TEXTS: dict[str, bytes] = {
    "empty": b"",
    "a space": b"%20",
    "a plus": b"+",
    "a comma": b",",
    "an empty value among others": b"a,,b",
    "a word": b"x",
    "a negative number": b"-1",
    "an exponent": b"1e3",
    "too large an exponent": b"1e999",
    "hexadecimal": b"0x10",
    "a fraction": b"1.5",
    "not a number": b"NaN",
    "infinity": b"-Infinity",
    "an underscore": b"1_000",
    "digits of another script": b"%D9%A3",
    "digits of full width": b"%EF%BC%93",
    "a superscript": b"%C2%B2",
    "white space before": b"%205",
    "white space behind": b"5%20",
    "a line end behind": b"5%0A",
    "a tab": b"%09",
    "a header": b"5%0D%0ASet-Cookie:%20a=b",
    "SQL": b"1%20OR%201=1",
    "more SQL": b"%27;%20DROP%20TABLE%20updates;%20--",
    "SQL of a union": b"%27%20UNION%20SELECT%20data%20FROM%20updates--",
    "NUL": b"%00",
    "NUL behind": b"5%00",
    "escape": b"%1B%5B31m",
    "a delete": b"%7F",
    "right to left": b"%E2%80%AE5",
    "a byte order mark": b"%EF%BB%BF",
    "half a pair of surrogates": b"%ED%A0%80",
    "an overlong NUL": b"%C0%80",
    "no UTF-8": b"%FF",
    "half a character": b"%E2%82",
    "half an escape": b"%",
    "an escape that is none": b"%zz",
    "an escape of four digits": b"%u0041",
    "an array": b"%5B%5D",
    "an object": b"%7B%7D",
    "null": b"null",
    "true": b"true",
    "a path": b"../../../../etc/passwd",
    "a template": b"%24%7B7*7%7D%7B%7B7*7%7D",
    "a script": b"%3Cscript%3Ealert(1)%3C/script%3E",
    "19 digits": b"9" * 19,
    "4,000 digits": b"9" * 4000,
    "4,000 characters": b"a" * 4000,
    "a thousand values": b",".join(b"%d" % number for number in range(1000)),
    "a thousand commas": b"," * 1000,
    "a moment of another month": b"2025-13-01",
    "a moment before 1970": b"1969-12-31",
    "a moment after 9999": b"99999-01-01",
    "a cursor of padding": b"%3D%3D%3D%3D",
    "a cursor of zeros": b"AAAAAAAAAAAAAAAA",
}
"""In a query, as they stand on the wire."""

SEGMENTS: dict[str, bytes] = {
    name: TEXTS[name]
    for name in (
        "a space", "a word", "a negative number", "digits of another script", "a header", "SQL", "more SQL", "NUL",
        "escape", "right to left", "a byte order mark", "half a pair of surrogates", "an overlong NUL", "no UTF-8",
        "half an escape", "an escape that is none", "a template", "a script", "4,000 digits", "4,000 characters",
        "a thousand values",
    )
} | {
    "the folder above": b"..",
    "the folder above, escaped": b"%2e%2e",
    "a file above, escaped": b"%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "a file above, escaped twice": b"%252e%252e%252f",
    "a slash": b"a%2Fb",
    "a backslash": b"..%5c..%5c",
    "a name with NUL behind": b"bitcoin%00",
    "a query, escaped": b"bitcoin%3Flimit%3D1",
}  # fmt: skip
"""In a path, where a name is expected."""

_DEEP: Any = "x"
for _ in range(50):
    _DEEP = [_DEEP]

NO_LISTS: dict[str, Any] = {
    "null": None,
    "a string": "bitcoin",
    "a number": 5,
    "true": True,
    "an object": {"bitcoin": True},
    "an empty list": [],
    "a number in it": ["a", 1],
    "null in it": ["a", None],
    "a list in it": [["a"]],
    "nested deeply": _DEEP,
    "an empty value": ["a", ""],
    "251 values": ["a"] * 251,
    "a thousand values": ["a"] * 1000,
    "101 characters": ["a" * 101],
    "5,000 characters": ["a" * 5000],
    "NUL": ["bit\0coin"],
    "a line end": ["bitcoin\n"],
    "escape": ["\x1b[31m"],
    "right to left": ["\u202ebitcoin"],
}
"""What is no list of names in a command."""

NO_NUMBERS: dict[str, Any] = {
    "null": None,
    "a text": "1000",
    "SQL": "1 OR 1=1",
    "5,000 characters": "9" * 5000,
    "a list": [5],
    "an object": {},
    "false": False,
    "below 0": -1,
    "slightly below 0": -1e-9,
}
"""What is no number from 0 in a command."""
