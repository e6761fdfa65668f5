"""Everything that leaves: alerts to receivers over HTTP, never inside a transaction.

A webhook is a JSON body signed by the Standard Webhooks scheme: `webhook-id` (the notice id, the same in every repeat:
drop what you have seen), `webhook-timestamp`, and `webhook-signature: v1,<base64 HMAC-SHA256 of id.timestamp.body>`.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from api.settings import Settings, allowed_networks
from reserve.alerts import ReceiverRow
from reserve.outbox import Claimed, Outcome

log = logging.getLogger("reserve.notify")

_TRANSLATED = tuple(ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(ValueError):  # noqa: N818 - a refusal is an answer
    """A receiver's address that we will not call, with the reason."""


class Judged(NamedTuple):
    """An address that may be called, and where it was found to be: we connect there and nowhere else."""

    url: SplitResult
    host: str
    port: int
    addresses: tuple[str, ...]


# -- sending ----------------------------------------------------------------------------------------------------------


def send(notice: Claimed, *, now: datetime, settings: Settings) -> Outcome:
    """One notice to its receiver. Every failure is an outcome, never an exception: the outbox must go on."""
    body = json.dumps(payload(notice), ensure_ascii=False).encode()
    return _post(notice.url, notice.secret, str(notice.id), body, now=now, settings=settings)


def send_test(receiver: ReceiverRow, *, now: datetime, settings: Settings) -> Outcome:
    """A message that says it is a test, signed like any other."""
    text = "这是一条测试消息。" if receiver.language == "zh" else "This is a test message."
    body = json.dumps({"type": "test", "receiver": receiver.name, "text": text}, ensure_ascii=False).encode()
    notice_id = f"test-{receiver.id}-{int(now.timestamp())}"
    return _post(receiver.url, receiver.secret, notice_id, body, now=now, settings=settings)


def payload(notice: Claimed) -> dict[str, Any]:
    """What a webhook carries: the text for people, the row for systems."""
    chinese = notice.language == "zh"
    row = json.loads(notice.coverage)
    return {
        "type": "coverage.level_changed",
        "notice_id": notice.id,
        "alert_id": notice.alert_id,
        "sequence": notice.sequence,
        "scope": notice.scope,
        "item": notice.item,
        "level": notice.level,
        "previous_level": notice.previous_level,
        "change": notice.change,
        "reason": notice.reason_zh if chinese else notice.reason_en,
        "text": text_of(notice, row),
        "raised_at": notice.raised_at.isoformat().replace("+00:00", "Z"),
        "coverage": row,
    }


_WORDS = {
    "zh": {
        "normal": "达标",
        "blue": "蓝色·关注",
        "yellow": "黄色·将跌破",
        "orange": "橙色·低于要求",
        "red": "红色·严重不足",
        "unknown": "未知",
    },
    "en": {
        "normal": "OK",
        "blue": "BLUE watch",
        "yellow": "YELLOW falling",
        "orange": "ORANGE below",
        "red": "RED far below",
        "unknown": "UNKNOWN",
    },
}


def text_of(notice: Claimed, row: dict[str, Any]) -> str:
    """One line that is enough to decide at three in the morning."""
    language = "zh" if notice.language == "zh" else "en"
    word = _WORDS[language][notice.level]
    if language == "zh":
        out = f" 预计 {row['runs_out_on']} 用尽。" if row["runs_out_on"] else ""
        return f"【{word}】{notice.item_name_zh} {notice.scope_name_zh}：{notice.reason_zh}{out}"
    out = f" Runs out on {row['runs_out_on']}." if row["runs_out_on"] else ""
    return f"[{word}] {notice.item_name_en}, {notice.scope_name_en}: {notice.reason_en}{out}"


def signature(secret: str, notice_id: str, timestamp: int, body: bytes) -> str:
    """Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.

    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...           b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{notice_id}.{timestamp}.".encode() + body
    mac = hmac.new(_secret_bytes(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def _secret_bytes(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (ValueError, binascii.Error):
            pass  # not base64 after all: the words themselves are the secret
    return secret.encode()


def _post(url: str, secret: str | None, notice_id: str, body: bytes, *, now: datetime, settings: Settings) -> Outcome:
    from api import calling

    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "reserve-monitor",
        "webhook-id": notice_id,
        "webhook-timestamp": str(timestamp),
    }
    if secret:
        headers["webhook-signature"] = signature(secret, notice_id, timestamp, body)
    try:
        judged = judge_address(url, settings)
        return calling.call(judged, body, headers, settings.receiver_timeout_seconds)
    except AddressRefused as refused:
        return Outcome(delivered=False, error=str(refused))
    except (*calling.FAILURES, OSError, ValueError) as error:
        return Outcome(delivered=False, error=f"{type(error).__name__}: {error}"[:300])


# -- where we may call ------------------------------------------------------------------------------------------------


def judge_address(url: str, settings: Settings) -> Judged:
    """Where a receiver's address leads, if we may go there: public https, or what the operator allowed.

    Raises
    ------
    AddressRefused
        another scheme, a name that does not resolve, or any address of it that is not public and not allowed.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise AddressRefused("This is not an address; write https://host/path.") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise AddressRefused("A receiver's address is https://host/path, without a name or password in it.")
    port = port or (443 if parts.scheme == "https" else 80)
    addresses = _resolve(host, port)
    hosts, networks = allowed_networks(settings)
    inside = host in hosts or all(any(a in n for n in networks if n.version == a.version) for a in addresses)
    if inside:
        return Judged(parts, host, port, tuple(str(a) for a in addresses))
    if parts.scheme != "https" or port != 443:
        raise AddressRefused("A public receiver is called by https on port 443 only; ask the operator to allow others.")
    if not all(_is_public(a) for a in addresses):
        raise AddressRefused(
            "This address lies inside a private network. The operator can allow it by RESERVE_RECEIVER_ALLOW."
        )
    return Judged(parts, host, port, tuple(str(a) for a in addresses))


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressRefused(f"{host} does not resolve to an address.") from None
    return list(dict.fromkeys(_unmapped(ipaddress.ip_address(str(info[4][0]).split("%")[0])) for info in found))


def _unmapped(address: Address) -> Address:
    """::ffff:127.0.0.1 is 127.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_public(address: Address) -> bool:
    translated = any(address in n for n in _TRANSLATED if n.version == address.version)
    return address.is_global and not address.is_multicast and not translated
