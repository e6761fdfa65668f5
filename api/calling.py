"""One HTTP call to an address that was judged before: the only httpx in the product, and loaded only when it calls.

Every wait ends at one deadline, however slowly the other side drips: httpx bounds each read, not the whole call.
"""

import ssl
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlunsplit

import httpcore
import httpx

from api.notify import Judged
from reserve.outbox import Outcome

ANSWER_MAX = 64 << 10
FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
_FINAL_EXCEPT = {408, 425, 429}

_SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]


def call(judged: Judged, body: bytes, headers: dict[str, str], seconds: float) -> Outcome:
    """POST to the judged addresses, one after the other until one is reached; all of it within `seconds`."""
    deadline = time.monotonic() + seconds
    for address in judged.addresses[:-1]:
        try:
            return _call_at(address, judged, body, headers, deadline)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue  # the next address of the name may live
    return _call_at(judged.addresses[-1], judged, body, headers, deadline)


def _call_at(address: str, judged: Judged, body: bytes, headers: dict[str, str], deadline: float) -> Outcome:
    """To the address itself, with the name for TLS and Host; no redirects, no proxy, a bounded answer."""
    literal = f"[{address}]" if ":" in address else address
    target = urlunsplit(judged.url._replace(netloc=f"{literal}:{judged.port}", fragment=""))
    host = judged.host if judged.url.port is None else f"{judged.host}:{judged.port}"
    seconds = max(0.1, deadline - time.monotonic())
    with (
        httpx.Client(trust_env=False, follow_redirects=False, timeout=seconds, transport=_until(deadline)) as client,
        client.stream(
            "POST", target, content=body, headers={**headers, "Host": host}, extensions={"sni_hostname": judged.host}
        ) as response,
    ):
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > ANSWER_MAX:
                break
        return _outcome(response.status_code, response.headers.get("retry-after"))


def _outcome(status: int, retry_after: str | None) -> Outcome:
    if 200 <= status < 300:
        return Outcome(delivered=True)
    pause = timedelta(seconds=min(int(retry_after), 3600)) if retry_after and retry_after.isdigit() else None
    final = 400 <= status < 500 and status not in _FINAL_EXCEPT
    return Outcome(delivered=False, error=f"the receiver answered {status}", final=final, retry_after=pause)


# -- one deadline over every wait -------------------------------------------------------------------------------------


def _until(deadline: float) -> httpx.HTTPTransport:
    transport = httpx.HTTPTransport(trust_env=False)
    transport._pool._network_backend = _Backend(deadline)  # noqa: SLF001 - httpx offers no other way in
    return transport


class _Backend(httpcore.SyncBackend):
    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        inner = super().connect_tcp(host, port, _left(self._deadline, timeout), local_address, socket_options)
        return _Stream(inner, self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._inner.start_tls(ssl_context, server_hostname, _left(self._deadline, timeout))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own form
        return self._inner.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise httpcore.ReadTimeout("no whole answer in time")
    return rest if timeout is None else min(timeout, rest)
