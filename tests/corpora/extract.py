"""Reads the requests of other servers' suites out of their source packages, and prints them as JSON, one case a line.

    extract.py FOLDER       where scripts/corpora has unpacked them

A case: suite, name, bytes (as latin-1 text), whether the suite wants it read (`valid`), and, where it says so, the
requests in it. Suites that are data are read; those that are code are run, with a parser that writes down what it is
given and what it made of it.
"""
import ast
import contextlib
import glob
import json
import os
import re
import sys
import types
import urllib.parse
from unittest.mock import MagicMock

FOUND = []


def case(suite, name, data, valid, requests=None):
    again = sum(found["suite"] == suite and found["name"].split(" #")[0] == name for found in FOUND)
    name += " #%d" % (again + 1) if again else ""
    FOUND.append({"suite": suite, "name": name, "data": data.decode("latin-1"), "valid": valid,
                  "requests": requests})


def request(method, target, body):
    return {"method": method, "target": target, "body": body if isinstance(body, str) else body.decode("latin-1")}


# gunicorn: a file of bytes with escapes, and a Python file that says what is in it.

class Config:
    def set(self, name, value):
        """Options of gunicorn's own: cases that need them are among the differences."""


def gunicorn(folder):
    class Absent(types.ModuleType):
        def __getattr__(self, name):
            return Config if name == "Config" else name
    for module in ("gunicorn", "gunicorn.config", "gunicorn.http", "gunicorn.http.errors"):
        sys.modules[module] = Absent(module)
    for path in sorted(glob.glob(folder + "/tests/requests/*/*.http")):
        valid = "/valid/" in path
        with open(path, "rb") as file:
            data = file.read()
        if not valid:
            data = data.decode("utf-8").encode("latin-1")
        data = data.replace(b"\n", b"")
        for escape, byte in ((rb"\r\n", b"\r\n"), (rb"\0", b"\0"), (rb"\n", b"\n"), (rb"\t", b"\t")):
            data = data.replace(escape, byte)
        names = {"uri": lambda raw: raw, "cfg": Config()}
        with open(path[:-5] + ".py") as file:
            exec(compile(file.read(), path, "exec"), names)
        requests = None
        if valid:
            wanted = names["request"] if isinstance(names["request"], list) else [names["request"]]
            requests = [request(w["method"], w["uri"], w["body"]) for w in wanted]
        name = "/".join(path[:-5].split("/")[-2:])
        case("gunicorn", name, data, valid, requests)
    for module in ("gunicorn", "gunicorn.config", "gunicorn.http", "gunicorn.http.errors"):
        del sys.modules[module]


# llhttp (which aiohttp's package contains): Markdown with a request and the events it makes.

def llhttp(folder):
    blocks = re.compile(r"^#+ ([^\n]*)$|<!-- meta=(\{.*?\}) -->\s*```http\n(.*?)```\s*```log\n(.*?)```", re.M | re.S)
    for path in sorted(glob.glob(folder + "/vendor/llhttp/test/request/*.md")):
        heading = ""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for title, meta, raw, log in blocks.findall(text):
            if title:
                heading = title
                continue
            meta = json.loads(meta)
            # Lenient readings are what uwring never offers; pauses and skipped bodies are the parser's interface.
            if meta["type"] != "request" or set(meta) - {"type", "noScan"} or "${" in raw or "```" in raw:
                continue
            name = "%s: %s" % (os.path.basename(path)[:-3], heading)
            case("llhttp", name, unescaped(raw), "error code=" not in log, llhttp_requests(log))


def unescaped(raw):
    raw = re.sub(r"\n\Z", "", raw)
    raw = re.sub(r"\\\n", "", raw).replace("\n", "\r\n")
    for escape, char in ((r"\r", "\r"), (r"\n", "\n"), (r"\t", "\t"), (r"\f", "\f")):
        raw = raw.replace(escape, char)
    data = raw.encode("utf-8")
    data = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), data)
    return re.sub(rb"\\([0-7]{1,3})", lambda m: bytes([int(m[1], 8)]), data)


def llhttp_requests(log):
    done, now = [], None
    for line in log.splitlines():
        span = re.search(r'span\[(\w+)\]="(.*)"$', line)
        if line.endswith("message begin"):
            now = {"method": "", "url": "", "body": ""}
        elif span and now is not None and span[1] in now:
            now[span[1]] += span[2].replace(r"\r", "\r").replace(r"\n", "\n")
        elif line.endswith("message complete") and now:
            done.append(request(now["method"], now["url"], now["body"].encode("utf-8")))
    return done


# http-parser (which httptools' package contains): C structures.

def http_parser(folder):
    with open(folder + "/vendor/http-parser/test.c", encoding="latin-1") as file:
        text = file.read()
    text = text[text.index("const struct message requests[]"):text.index("const struct message responses[]")]
    literal = r'((?:\s*"(?:[^"\\]|\\.)*")+)'
    for part in re.split(r"\{\s*\.name\s*=", text)[1:]:
        name = joined(re.match(literal, part)[1]).decode("latin-1")
        raw = joined(re.search(r"\.raw\s*=" + literal, part)[1])
        body = re.search(r"\.body\s*=" + literal, part)
        target = re.search(r"\.request_url\s*=" + literal, part)
        method = re.search(r"\.method\s*=\s*HTTP_(\w+)", part)
        wanted = [request(method[1].replace("MSEARCH", "M-SEARCH"), joined(target[1]).decode("latin-1"),
                          joined(body[1]) if body else b"")]
        case("http-parser", name, raw, True, wanted)


def joined(literals):
    parts = re.findall(r'"(?:[^"\\]|\\.)*"', literals)
    return "".join(ast.literal_eval(part) for part in parts).encode("latin-1")


# aiohttp: tests that give a request to a parser, one by one, each run with a parser that writes down what it gets.

class Recorder:
    def __init__(self):
        self.data, self.expects_refusal, self.refused = b"", False, False

    def feed_data(self, data):
        self.data += bytes(data)
        if self.expects_refusal:
            self.refused = True
            raise ValueError("refused, as the test expects")
        return [(MagicMock(), MagicMock())], False, b""


class Expected:
    """`pytest.raises`."""

    def __init__(self, recorder):
        self.recorder = recorder

    def __enter__(self):
        self.recorder.expects_refusal = True
        return MagicMock()

    def __exit__(self, *_):
        self.recorder.expects_refusal = False
        return True


def aiohttp(folder):
    with open(folder + "/tests/test_http_parser.py", encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for function in tree.body:
        arguments = [argument.arg for argument in getattr(function, "args", ast.arguments(args=[])).args]
        if not isinstance(function, ast.FunctionDef) or "parser" not in arguments:
            continue
        calls = [node for node in ast.walk(function)
                 if isinstance(node, ast.Attribute) and node.attr == "feed_data"]
        if len(calls) == 1 and function.name.startswith("test_"):
            for number, parameters in enumerate(parameters_of(function)):
                recorder = Recorder()
                if call(function, arguments, recorder, parameters) and recorder.data:
                    name = "%s %d" % (function.name, number) if number else function.name
                    case("aiohttp", name, recorder.data, not recorder.refused)


def names_for(recorder):
    raises = types.SimpleNamespace(raises=lambda *_, **__: Expected(recorder), param=lambda *values, **_: values)
    return {"pytest": raises, "nullcontext": contextlib.nullcontext, "http_exceptions": MagicMock(),
            "re": re, "mock": MagicMock(), "HttpVersion": MagicMock(), "quote": urllib.parse.quote}


def parameters_of(function):
    """What `pytest.mark.parametrize` would call it with; nothing where that is not known before."""
    found = [{}]
    for decorator in function.decorator_list:
        if "parametrize" not in ast.dump(decorator) or not isinstance(decorator, ast.Call):
            return []
        try:
            names, rows = (eval(compile(ast.Expression(part), "", "eval"), names_for(None))
                           for part in decorator.args[:2])
        except Exception:
            return []
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        rows = [row if isinstance(row, tuple) else (row,) for row in rows]
        found = [dict(one, **dict(zip(names, row))) for one in found for row in rows if len(row) == len(names)]
    return found


def call(function, arguments, recorder, parameters):
    function = ast.parse(ast.unparse(function)).body[0]
    function.decorator_list, function.returns = [], None
    for argument in function.args.args:
        argument.annotation = None
    scope = names_for(recorder)
    exec(compile(ast.Module([function], []), "", "exec"), scope)
    values = {name: parameters.get(name, MagicMock()) for name in arguments}
    try:
        scope[function.name](**dict(values, parser=recorder))
    except Exception:  # What the test asks of the result needs the real parser.
        pass
    return True


def main(folder):
    suites = [("gunicorn", gunicorn), ("aiohttp", llhttp), ("httptools", http_parser), ("aiohttp", aiohttp)]
    for package, read in suites:
        for path in glob.glob("%s/%s-[0-9]*" % (folder, package)):
            read(os.path.abspath(path))
    for found in FOUND:
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
