"""The docs say what is there: nothing is missing from the reference, and what a page tells people to type works."""

import ast
import contextlib
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from api import cli
from api.notify import signature
from forecasting.depletion import cover
from tests import make_docs
from tests.make_docs import REFERENCE, ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

FORBIDDEN = [
    "../" + "shared",
    "/work/" + "shared",
    "/work/" + "main",
    "pypi." + "org",
    "pythonhosted." + "org",
    "registry.npmjs." + "org",
    "proxy.golang." + "org",
    "crates." + "io",
]
"""The neighbours' folder, this machine, and registries: written in two halves, so that they are not found here."""


# -- the reference ----------------------------------------------------------------------------------------------------


def reference(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_what_is_made_from_the_code_is_up_to_date() -> None:
    old = [path.name for path, text in make_docs.pages() if path.read_text(encoding="utf-8") != text]
    assert not old, f"run `make docs`: {', '.join(old)}"


def test_every_row_of_the_reference_is_written() -> None:
    assert not [path.name for path in REFERENCE.glob("*.md") if make_docs.UNWRITTEN in path.read_text(encoding="utf-8")]


def test_every_route_is_described() -> None:
    text = reference("api.md")
    assert not [call for m, path, _ in make_docs.operations() if f"`{(call := f'{m} {path}')}`" not in text]


def test_every_command_is_described() -> None:
    text = reference("cli.md")
    assert not [name for name, _ in make_docs.command_tree() if f"### reserve {name}\n" not in text]


def test_every_setting_is_described() -> None:
    text = reference("settings.md")
    assert not [name for name, _, _ in make_docs.explained(make_docs.Settings()) if f"`{name}`" not in text]


def test_every_refusal_is_described() -> None:
    text = reference("refusals.md")
    assert not [code for code in make_docs.refusal_codes() if f"| `{code}` |" not in text]


def test_every_reason_and_change_of_an_alert_is_described() -> None:
    text = reference("alerts.md")
    words = [*make_docs.reason_codes(), *make_docs.change_words()]
    assert len(words) > 15
    assert not [word for word in words if f"| `{word}` |" not in text]


def test_codes_in_the_source_are_found() -> None:
    """The reader of the source must not go blind."""
    found = make_docs.refusal_codes()
    assert found["insufficient_stock"] == {409}
    assert found["unknown_item"] == {404, 422}
    assert found["worker_late"] == {503}
    assert found["consumption_from_issues"] == {409}
    assert found["missing"] == set()
    assert {"unit", "thousands_separator", "workbook", "lot_required", "unknown_reason"} <= make_docs.sheet_codes()


def test_what_is_written_by_hand_survives() -> None:
    old = make_docs.table(
        ["code", "status", "what to do"], [["`busy`", "503", "Send it | again."], ["`gone`", "", "x"]]
    )
    new = make_docs.told(old, ["code", "status", "what to do"], [["`busy`", "500"], ["`new`", "400"]])
    assert new.splitlines()[2:] == ["| `busy` | 500 | Send it \\| again. |", "| `new` | 400 | to be written |"]


# -- all pages --------------------------------------------------------------------------------------------------------


def test_the_readme_is_short_and_its_targets_exist() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z0-9-]+)`", page.read_text(encoding="utf-8"))}
    named |= set(re.findall(r"^make ([a-z0-9-]+)", "\n".join(lines), re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_nothing_refers_to_this_machine_or_to_a_registry() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not name.startswith("tests/") and path.is_file():
            text = path.read_bytes().decode("utf-8", "ignore")
            assert not [word for word in FORBIDDEN if word in text], name


def test_the_example_by_pencil_is_what_the_product_computes() -> None:
    page = (ROOT / "docs/explanation/why-33-days.md").read_text(encoding="utf-8")
    call = re.search(r"`forecasting\.depletion\.cover\((.+?), (\d+), (\d+)\)`", page)
    assert call is not None
    found = cover(ast.literal_eval(call[1]), int(call[2]), int(call[3]))
    assert found.days == Fraction(168, 5)
    assert (found.wasted, found.required, found.shortfall) == (400, 105_000, 0)
    assert (found.falls_below_day, found.runs_out_day) == (4, 33)
    gloves = cover([(60_000, 10), (45_000, None)], 3500, 30)
    assert (gloves.days, gloves.shortfall) == (10 + Fraction(45_000, 3500), 25_000)


# -- what people are told to type -------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial is typed with curl, and there is none here")
def test_the_tutorial_and_the_pages_after_it_work(tmp_path: Path) -> None:
    """One shell from the first command to the last, in a checkout of its own, on ports of its own."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    docs = ROOT / "docs"
    told = []
    for page in ("tutorial/first-receipt-to-first-alert.md", "how-to/import-the-old-book.md", "how-to/backup.md"):
        told += steps((docs / page).read_text(encoding="utf-8"))
    ports = {"8000": free_port(), "9000": free_port()}
    answers = run([command for command, _ in told], tmp_path, ports)
    for (command, expected), answer in zip(told, answers, strict=True):
        if expected is not None:
            assert re.fullmatch(pattern(expected), plain(answer), re.DOTALL), f"{command}\n--- answered\n{answer}"


def steps(page: str) -> list[tuple[str, str | None]]:
    """The `sh` blocks of a page, each with the `text` block that follows it at once, if one does."""
    found: list[tuple[str, str | None]] = []
    end = -1
    for block in BLOCK.finditer(page):
        kind, text = block[1], block[2]
        if kind == "sh":
            found.append((text, None))
        elif kind == "text" and found and found[-1][1] is None and not page[end : block.start()].strip():
            found[-1] = (found[-1][0], text)
        end = block.end() if kind == "sh" else -1
    return found


def run(commands: list[str], folder: Path, ports: dict[str, str]) -> list[str]:
    """What one bash answered to each of the commands, both streams together as on a terminal."""
    said = [folder / f"said-{n}" for n in range(len(commands))]
    script = "\n".join(f"exec > {file} 2>&1\n{command}" for file, command in zip(said, commands, strict=True))
    for port, ours in ports.items():
        script = re.sub(rf"\b{port}\b(?!\d)", ours, script)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RESERVE_")}
    with ready_command() as reserve:
        subprocess.run(
            ["bash", "-c", f"{reserve}\n{script}\nwait"],
            cwd=folder,
            env=kept | {"COLUMNS": "200", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=True,
        )
    return [file.read_text(encoding="utf-8") for file in said]


@contextlib.contextmanager
def ready_command() -> Iterator[str]:
    """A bash function `reserve` that starts at once: a process that has imported everything forks for each call.

    Twenty calls of the real command spend half a minute on imports. `serve` stays the real one: it is killed.
    """
    folder = tempfile.mkdtemp(prefix="r")  # an address of a socket is short
    address = Path(folder) / "ready"
    source = f"from tests.test_docs import fork_for_each; fork_for_each({str(address)!r})"
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", source], cwd=ROOT)
    caller = f"{shlex.quote(sys.executable)} -I -S -c {shlex.quote(CALLER)} {shlex.quote(str(address))}"
    try:
        until(address.exists)
        yield f'reserve() {{ if [ "$1" = serve ]; then exec reserve "$@"; else {caller} "$@"; fi; }}'
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


CALLER = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect(sys.argv[1])
    call = repr((sys.argv[2:], dict(os.environ), os.getcwd())).encode()
    socket.send_fds(there, [len(call).to_bytes(8, "big")], [0, 1, 2])
    there.sendall(call)
    sys.exit(there.recv(1)[0])
"""


def fork_for_each(address: str) -> None:
    """Run `reserve` for each caller at a socket, with its arguments, environment, folder and streams."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    __import__("api.sheets"), __import__("api.tables"), __import__("api.worker"), __import__("alembic.command")
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(f"{address}.new")
        here.listen()
        Path(f"{address}.new").rename(address)
        while True:
            caller, _ = here.accept()
            with caller:
                if os.fork() == 0:
                    os._exit(run_for(caller))


def run_for(caller: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(caller, 8, 3)
    call = b""
    while len(call) < int.from_bytes(size, "big"):
        call += caller.recv(1 << 16)
    arguments, environment, folder = ast.literal_eval(call.decode())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["reserve", *arguments]
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.sendall(bytes([code]))
    return code


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def plain(text: str) -> str:
    """Days, moments and what follows from them look alike."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "MOMENT", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "DAY", text)
    return re.sub(r"\b([A-Z]{2})-\d{8}-(\d+)", r"\1-DAY-\2", text).strip()


def pattern(expected: str) -> str:
    return ".*?".join(re.escape(part) for part in plain(expected).split("..."))


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_the_receiver_of_the_how_to_takes_only_what_is_genuine(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/webhook-receiver.md").read_text(encoding="utf-8")
    source = next(block[2] for block in BLOCK.finditer(page) if block[1] == "python")
    (tmp_path / "receiver.py").write_text(source, encoding="utf-8")
    secret, port = "whsec_cmVjZWl2ZXIgb2YgdGhlIGhvdy10bw==", free_port()
    receiver = subprocess.Popen(
        [sys.executable, "receiver.py", port],
        cwd=tmp_path,
        env={**os.environ, "WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    body = b'{"text": "ORANGE"}'
    now = int(time.time())
    try:
        genuine = {
            "webhook-id": "7",
            "webhook-timestamp": str(now),
            "webhook-signature": signature(secret, "7", now, body),
        }
        old = {
            **genuine,
            "webhook-timestamp": str(now - 600),
            "webhook-signature": signature(secret, "7", now - 600, body),
        }
        assert post(port, body, genuine) == 204
        assert post(port, body, genuine) == 204
        assert post(port, body + b" ", genuine) == 401
        assert post(port, body, old) == 401
        assert post(port, body, {}) == 401
    finally:
        receiver.terminate()
        said, _ = receiver.communicate(timeout=10)
    assert said == "ORANGE\n"


def post(port: str, body: bytes, headers: dict[str, str]) -> int:
    for _ in range(100):
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
            time.sleep(0.1)
    raise AssertionError("the receiver never answered")
