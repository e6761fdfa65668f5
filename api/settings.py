"""The environment, read once into one frozen Settings; every key is explained and printed by `reserve settings`."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SEAL_KEY_MIN = 32


class SettingsError(ValueError):
    """A setting that cannot be used; the sentence says which and what to write instead."""


def _setting(default: Any, explained: str, *, secret: bool = False) -> Any:  # noqa: ANN401 - dataclasses.field's own type
    return field(default=default, repr=not secret, metadata={"explained": explained, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """One field a `RESERVE_*` variable, in upper case."""

    database_url: str = _setting(
        "sqlite:///var/reserve.db", "sqlite:///FILE, or postgresql+psycopg://USER@HOST/NAME beyond one writer"
    )
    timezone: str = _setting("Asia/Shanghai", "the city's zone: civil days begin and end there")
    worker: str = _setting("on", "on: `reserve serve` also assesses and sends; off: run `reserve watch` beside it")
    beat_seconds: float = _setting(2.0, "how often the worker looks for what is due")
    back_dating_days: int = _setting(30, "how many days back an entry over HTTP may be dated")
    pages: str = _setting(
        "loopback", "who may read the pages without a key: loopback (this machine), open (anybody), off (nobody)"
    )
    receiver_allow: str = _setting(
        "", "hosts or networks inside your own net that may be alert receivers, comma-separated: 10.1.2.0/24, hooks.lan"
    )
    receiver_timeout_seconds: float = _setting(10.0, "how long one sending to a receiver may take in all")
    seal_key: str = _setting(
        "",
        "signs the seals over history: 32 characters or more, kept where the database's owner cannot read it",
        secret=True,
    )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def sealing_key(self) -> bytes | None:
        return self.seal_key.encode() or None

    @property
    def runs_worker(self) -> bool:
        return self.worker == "on"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from `RESERVE_*` variables.

    Raises
    ------
    SettingsError
        a value that cannot be used, or a RESERVE_ variable that is none of ours (a typing error would go unseen).
    """
    known = {f"RESERVE_{f.name.upper()}": f for f in fields(Settings)}
    given = {name: value for name, value in environment.items() if name.startswith("RESERVE_")}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting; `reserve settings` lists them.")
    values: dict[str, object] = {}
    for name, text in given.items():
        setting = known[name]
        values[setting.name] = _read(name, text, type(setting.default))
    settings = Settings(**values)  # type: ignore[arg-type]  # each value was read by its field's own type
    _check(settings)
    return settings


def explained(settings: Settings) -> list[tuple[str, str, str]]:
    """(variable, value, what it is for), with secrets and passwords in addresses left out."""
    from sqlalchemy import make_url

    rows = []
    for setting in fields(Settings):
        value = str(getattr(settings, setting.name))
        if setting.name == "database_url":
            value = make_url(value).render_as_string(hide_password=True)
        if value and setting.metadata["secret"]:
            value = "***"
        rows.append((f"RESERVE_{setting.name.upper()}", value, str(setting.metadata["explained"])))
    return rows


def allowed_networks(
    settings: Settings,
) -> tuple[frozenset[str], tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]]:
    """The host names and the networks of `receiver_allow`."""
    hosts, networks = set(), []
    for part in filter(None, (p.strip() for p in settings.receiver_allow.split(","))):
        try:
            networks.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            hosts.add(part.lower())
    return frozenset(hosts), tuple(networks)


def _read(name: str, text: str, kind: type) -> object:
    if kind is str:
        return text.strip()
    try:
        value = kind(text)
    except ValueError:
        raise SettingsError(f"{name} must be a number, not {text!r}.") from None
    if value <= 0:
        raise SettingsError(f"{name} must be above zero, not {text}.")
    return value


def _check(settings: Settings) -> None:
    for name, value, words in (
        ("RESERVE_WORKER", settings.worker, ("on", "off")),
        ("RESERVE_PAGES", settings.pages, ("loopback", "open", "off")),
    ):
        if value not in words:
            raise SettingsError(f"{name} must be one of {', '.join(words)}, not {value!r}.")
    if 0 < len(settings.seal_key) < SEAL_KEY_MIN:
        raise SettingsError(
            f"RESERVE_SEAL_KEY has {SEAL_KEY_MIN} characters or more: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one."
        )
    try:
        ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(f"RESERVE_TIMEZONE {settings.timezone!r} is not a zone such as Asia/Shanghai.") from None
