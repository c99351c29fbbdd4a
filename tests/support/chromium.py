"""A headless Chromium driven by the DevTools protocol: nothing to install but the browser."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
Spot = tuple[float, float]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
KEYS = {
    "ArrowDown": 40,
    "ArrowUp": 38,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "PageDown": 34,
    "PageUp": 33,
    "Home": 36,
    "End": 35,
    "Enter": 13,
    "Escape": 27,
    "Backspace": 8,
    "Delete": 46,
    "Tab": 9,
    " ": 32,
}


def find_browser() -> str | None:
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


class Page:
    """One tab. What it logs and asks for is kept in ``errors`` and ``requests``."""

    def __init__(self, browser: Chromium, target: str, session: str) -> None:
        self.browser = browser
        self.target = target
        self.session = session
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.expected_errors: tuple[str, ...] = ()
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.command(method, self.session, **parameters)

    def on_event(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(parameters["message"])
            self.browser.send("Page.handleJavaScriptDialog", self.session, accept=True)

    def screen(self, width: int, height: int, *, scale: float = 1, phone: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=phone, maxTouchPoints=5)

    def goto(self, url: str) -> None:
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"].get("exception", {}).get("description", "script failed"))
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> Any:
        """First truthy value of the expression."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.evaluate(script)
            except AssertionError:
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"still not so after {seconds} s: {script}\nerrors: {self.errors}")
            time.sleep(0.03)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of the first element that matches, once it is painted (events go to what is)."""
        self.evaluate(PAINTED)
        script = (
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.left, b.top, b.width, b.height]; })()"
        )
        left, top, width, height = self.evaluate(script)
        return left, top, width, height

    def centre(self, selector: str) -> tuple[float, float]:
        left, top, width, height = self.box(selector)
        return left + width / 2, top + height / 2

    def click(self, selector: str) -> None:
        x, y = self.centre(selector)
        self.mouse("mousePressed", x, y, clicks=1)
        self.mouse("mouseReleased", x, y, clicks=1)

    def mouse(self, kind: str, x: float, y: float, *, button: str = "left", clicks: int = 0) -> None:
        held = {"left": 1, "right": 2, "middle": 4, "none": 0}[button] if kind != "mouseReleased" else 0
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=held, clickCount=clicks)

    def drag(self, start: Spot, end: Spot, *, button: str = "left", steps: int = 8) -> None:
        self.mouse("mousePressed", *start, button=button, clicks=1)
        for x, y in between(start, end, steps):
            self.mouse("mouseMoved", x, y, button=button)
        self.mouse("mouseReleased", *end, button=button, clicks=1)

    def wheel(self, x: float, y: float, delta: float, *, control: bool = False) -> None:
        self.command(
            "Input.dispatchMouseEvent",
            type="mouseWheel",
            x=x,
            y=y,
            deltaX=0,
            deltaY=delta,
            modifiers=2 if control else 0,
        )

    def key(self, key: str) -> None:
        common = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        self.command("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.command("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        for letter in text:
            self.key(letter)

    def touch(self, kind: str, *points: Spot) -> None:
        fingers = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)]
        self.command("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    def swipe(self, *paths: tuple[Spot, Spot], steps: int = 10) -> None:
        """One finger per path, all at the same time."""
        self.touch("touchStart", *(start for start, _end in paths))
        for places in zip(*(between(start, end, steps) for start, end in paths), strict=True):
            self.touch("touchMove", *places)
        self.touch("touchEnd")

    def tap(self, selector: str) -> None:
        point = self.centre(selector)
        self.touch("touchStart", point)
        self.touch("touchEnd")

    def screenshot(self, path: Path | None = None, *, kind: str = "png") -> bytes:
        data = base64.b64decode(self.command("Page.captureScreenshot", format=kind)["data"])
        if path is not None:
            path.write_bytes(data)
        return data

    def close(self) -> None:
        self.browser.command("Target.closeTarget", None, targetId=self.target)
        self.browser.pages.pop(self.session, None)


class Chromium:
    """The browser process and its connection."""

    def __init__(self, executable: str, profile: Path) -> None:
        self.log = (profile / "browser.log").open("wb")
        command = [executable, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.exits = ExitStack()
        self.pages: dict[str, Page] = {}
        self.serial = 0
        port_file = profile / "DevToolsActivePort"
        self.connection = self._connect(port_file)

    def _connect(self, port_file: Path) -> ClientConnection:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            lines = port_file.read_text().split() if port_file.exists() else []
            if len(lines) == 2:
                address = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
                return self.exits.enter_context(connect(address, max_size=None, compression=None))
            time.sleep(0.05)
        self.close()
        raise RuntimeError("the browser did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def send(self, method: str, session: str | None, **parameters: Any) -> int:
        self.serial += 1
        message = {"id": self.serial, "method": method, "params": parameters}
        self.connection.send(json.dumps(message if session is None else {**message, "sessionId": session}))
        return self.serial

    def command(self, method: str, session: str | None, **parameters: Any) -> dict[str, Any]:
        serial = self.send(method, session, **parameters)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            message = json.loads(self.connection.recv(timeout=60))
            if message.get("id") == serial:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            page = self.pages.get(message.get("sessionId", ""))
            if page is not None and "method" in message:
                page.on_event(message["method"], message["params"])
        raise AssertionError(f"{method}: no answer")

    def page(self, width: int, height: int, *, scale: float = 1, phone: bool = False) -> Page:
        target = self.command("Target.createTarget", None, url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", None, targetId=target, flatten=True)["sessionId"]
        page = Page.__new__(Page)
        self.pages[session] = page
        page.__init__(self, target, session)  # type: ignore[misc]
        page.screen(width, height, scale=scale, phone=phone)
        return page

    def close(self) -> None:
        connection = getattr(self, "connection", None)
        if connection is not None:
            try:
                self.send("Browser.close", None)
                self.process.wait(timeout=10)
            except (ConnectionClosed, OSError, subprocess.TimeoutExpired):
                pass
            self.exits.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def between(start: Spot, end: Spot, steps: int) -> Iterator[Spot]:
    for step in range(1, steps + 1):
        share = step / steps
        yield start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


@contextmanager
def browser(executable: str) -> Iterator[Chromium]:
    """A browser with an empty profile, gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="hilum-chromium-", ignore_cleanup_errors=True) as folder,
        Chromium(executable, Path(folder)) as chromium,
    ):
        yield chromium
