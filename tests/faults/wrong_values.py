"""Values of every wrong kind, for each notation."""

DEEP = 20_000
"""Levels of nesting: beyond every recursion limit."""
RAW = [
    *("null", "true", "0", "-1", "1.5", "1e999", "-1e999", "NaN", "Infinity", str(2**70), "9" * 5000, '""', '" "'),
    *(r'"\u0000"', r'"\ud800"', '"../../../etc/passwd"', '"/"', '"."', '"' + "a" * 5000 + '"', "[]", "{}", "[[[]]]"),
    *('{"a": {"a": null}}', '[null, 1, "a"]', '["red", "red"]', "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP),
]
"""JSON of every wrong kind."""
CELLS = [
    *("", " ", "\0", "-1", "1e999", "nan", "None", "9" * 5000, '"', "'", "[", "['red'", '["red", 1]', "{}", "../../x", "/"),
    *("a" * 5000, "=1+1", ";", "\t", "red,red", "red|green", "\ufeff", "\u2028", "\udcff", "日本", "train", "1", "0"),
]
"""Cells, words and attributes of every wrong kind."""
ENTITIES = [
    *('<!DOCTYPE a [<!ENTITY x "boom">]>', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
    '<!DOCTYPE a [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)) + "]>",
    '<!DOCTYPE a [<!ENTITY a11 "' + "a" * 100_000 + '">]>',
    '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
]
"""Declarations of entities: harmless, of a file, of exponential and of quadratic growth, of an address."""
YAML = [
    *("null", "~", "1", "1.5", "yes", "[]", "{}", "- a", "2001-99-99", "0x_", "!!python/object:os.system x", "&a [*a]", "*a"),
    *(
        "!!binary x",
        "!!set {a}",
        "{[1]: 2}",
        "? {a: 1}\n: 2",
        "[" * 20_000,
        "{a: " * 20_000,
        "a: b: c",
        "\t- a",
        "<<: 1",
        "!!int x",
    ),
    *(
        "1:60:60",
        "1e999",
        ".inf",
        "=",
        "[1, red]",
        "[red, red]",
        "{exclusive: 3}",
        "{red: red}",
        "{red: [green], green: [red]}",
    ),
    "[&a [x,x,x,x,x,x,x,x,x,x]" + "".join(f", &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]" for n in range(9)) + "]",
]
"""YAML of every wrong kind, the last of exponential growth when it is written out."""
