"""From a movement to a message: assessed, raised, really sent, retried when refused, never twice for nothing."""

import base64
import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import TODAY
from listening import Listener, listening
from served import Served, issue, receipt, rows_of_use
from sqlalchemy import Engine

from api import notify
from api.settings import Settings
from api.worker import ClockGuard, Worker, assess_due, beat, deliver_due
from reserve import alerts, database, outbox

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()


@pytest.fixture
def hook() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def served(city: Engine) -> Served:
    """A hospital uses 10 a day, the rule asks for 30 days, and 1,000 lie there: 100 days."""
    served = Served(city)
    client = served.client()
    for hospital, used in (("371402-H1", 6), ("371425-H1", 4)):
        body = rows_of_use(hospital, "N95", lambda _, used=used: used, 60, TODAY)
        assert client.post("/v1/consumption", json=body).status_code == 201
    rule = {
        "code": "PROTECTIVE-30D",
        "category": "protective",
        "scope": "371400",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2020-06-01",
        "source_text": "按照日均消耗上限,传染病防护物资不少于1个月储备",
    }
    assert client.post("/v1/policies", json=rule).status_code == 201
    assert client.post("/v1/receipts", json=receipt(1000, expires="2028-12-31")).status_code == 201
    return served


def add_receiver(served: Served, url: str, **more: object) -> int:
    body = {"name": "duty desk", "url": url, "scope": "371400", "secret": SECRET, **more}
    answer = served.client().post("/v1/receivers", json=body)
    assert answer.status_code == 201
    return answer.json()["id"]


def row(served: Served) -> dict:
    return served.client().get("/v1/coverage/371400/N95").json()


def test_p07_a_fall_below_a_month_reaches_the_receiver_with_its_reason(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    beat(served.desk)
    assert row(served)["level"] == "normal"
    assert hook.heard == []
    served.client().post("/v1/issues", json=issue(750))
    assert row(served)["stale"] is True
    done = beat(served.desk)
    assert (done.alerts, done.delivered, done.failed) == (1, 1, 0)
    (told,) = hook.heard
    assert (told["level"], told["previous_level"], told["change"]) == ("orange", None, "raised")
    assert "25.0" in told["text"]
    assert "缺 50 只" in told["text"]
    assert told["coverage"]["days_of_coverage"] == 25.0
    after = row(served)
    assert (after["stale"], after["level"], after["shortfall"]) == (False, "orange", 50)


def test_p07_a_webhook_is_signed_so_that_its_receiver_can_tell(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    beat(served.desk)
    headers, body = hook.raw[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.new(b"a secret of thirty-two bytes....", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert headers["webhook-id"] == str(hook.heard[0]["notice_id"])


def test_nothing_is_repeated_while_nothing_changes(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    for _ in range(5):
        beat(served.desk)
        served.clock.pass_by(minutes=10)
        served.client().post("/v1/receipts", json=receipt(1, expires="2028-12-31"))
    assert len(hook.heard) == 1


def test_who_heard_of_the_fall_hears_of_the_recovery(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url, levels=["orange", "red"])
    client = served.client()
    client.post("/v1/issues", json=issue(750))
    beat(served.desk)
    client.post("/v1/receipts", json=receipt(1000, expires="2028-12-31"))
    beat(served.desk)
    assert [(t["change"], t["level"]) for t in hook.heard] == [("raised", "orange"), ("restored", "normal")]
    assert [t["sequence"] for t in hook.heard] == [1, 2]


def test_p07_a_failed_sending_is_tried_again_under_the_same_id(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    hook.answers = [500, 503]
    served.client().post("/v1/issues", json=issue(750))
    assert beat(served.desk).failed == 1
    assert beat(served.desk) == (0, 0, 0, 0), "not before its time"
    served.clock.pass_by(seconds=11)
    assert beat(served.desk).failed == 1
    served.clock.pass_by(seconds=31)
    assert beat(served.desk).delivered == 1
    assert len({t["notice_id"] for t in hook.heard}) == 1
    assert len(hook.heard) == 3
    notice = served.client().get("/v1/alerts").json()["items"][0]["notices"][0]
    assert (notice["state"], notice["attempts"], notice["last_error"]) == ("delivered", 3, None)


def test_a_receiver_that_asks_for_time_gets_it(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    hook.answers, hook.headers = [429], {"Retry-After": "120"}
    served.client().post("/v1/issues", json=issue(750))
    beat(served.desk)
    served.clock.pass_by(seconds=119)
    assert beat(served.desk).delivered == 0
    served.clock.pass_by(seconds=2)
    assert beat(served.desk).delivered == 1


def test_a_final_refusal_is_parked_and_shown(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    hook.answers = [410]
    served.client().post("/v1/issues", json=issue(750))
    beat(served.desk)
    served.clock.pass_by(hours=1)
    beat(served.desk)
    assert len(hook.heard) == 1
    notice = served.client().get("/v1/alerts").json()["items"][0]["notices"][0]
    assert (notice["state"], notice["last_error"]) == ("failed", "the receiver answered 410")


def test_a_redirect_is_not_followed(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    hook.answers, hook.headers = [302], {"Location": "http://127.0.0.1:1/elsewhere"}
    served.client().post("/v1/issues", json=issue(750))
    beat(served.desk)
    notice = served.client().get("/v1/alerts").json()["items"][0]["notices"][0]
    assert notice["last_error"] == "the receiver answered 302"


def test_a_dead_receiver_delays_nobody_else(served: Served, hook: Listener) -> None:
    add_receiver(served, "http://127.0.0.1:9/nobody-listens")
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    done = beat(served.desk)
    assert (done.delivered, done.failed) == (1, 1)


def test_a_test_message_says_how_it_went(served: Served, hook: Listener) -> None:
    receiver = add_receiver(served, hook.url)
    assert served.client().post(f"/v1/receivers/{receiver}/test").json() == {"delivered": True, "error": None}
    assert hook.heard[0]["type"] == "test"
    hook.answers = [404]
    assert served.client().post(f"/v1/receivers/{receiver}/test").json()["error"] == "the receiver answered 404"


def test_a_retired_receiver_is_told_nothing_more(served: Served, hook: Listener) -> None:
    receiver = add_receiver(served, hook.url)
    assert served.client().delete(f"/v1/receivers/{receiver}").status_code == 204
    served.client().post("/v1/issues", json=issue(750))
    beat(served.desk)
    assert hook.heard == []
    assert served.client().delete(f"/v1/receivers/{receiver}").status_code == 404


def test_a_new_day_is_assessed_without_any_movement(served: Served) -> None:
    beat(served.desk)
    served.clock.pass_by(days=1)
    assert beat(served.desk).rows > 0
    assert row(served)["as_of"] == "2026-04-02"
    assert beat(served.desk).rows == 0


def test_reports_that_stop_are_news_once(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    for _ in range(12):
        beat(served.desk)
        served.clock.pass_by(days=1)
    assert [t["level"] for t in hook.heard] == ["unknown"]
    assert "德城区医院" in hook.heard[0]["reason"]


def test_two_workers_raise_one_alert_and_send_it_once(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    threads = [threading.Thread(target=beat, args=(served.desk, f"w{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    beat(served.desk)
    assert len(hook.heard) == 1


def test_p07_a_worker_that_died_while_sending_is_followed_by_a_repeat_with_the_same_id(
    served: Served, hook: Listener
) -> None:
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    assess_due(served.desk)
    with database.writing(served.engine) as session:
        (claimed,) = outbox.claim(session, now=served.clock(), token="of-the-dead")
    notify.send(claimed, now=served.clock(), settings=served.settings)  # sent, and then killed before settling
    assert beat(served.desk).delivered == 0, "the lease still stands"
    served.clock.pass_by(seconds=61)
    assert beat(served.desk).delivered == 1
    assert len(hook.heard) == 2
    assert len({t["notice_id"] for t in hook.heard}) == 1


def test_the_workers_threads_assess_and_deliver_by_themselves(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    worker = Worker(served.desk)
    worker.start()
    told = threading.Event()
    for _ in range(200):
        if hook.heard:
            break
        told.wait(0.05)
    worker.stop()
    assert len(hook.heard) == 1


def test_p12_a_clock_that_jumps_by_hours_pauses_assessment_until_it_runs_evenly() -> None:
    guard, at = ClockGuard(), datetime(2026, 4, 1, tzinfo=UTC)
    assert guard.holds(at, 0) is None
    assert guard.holds(at + timedelta(seconds=2), 2) is None
    assert guard.holds(at + timedelta(hours=3), 4)
    assert guard.holds(at + timedelta(hours=3, seconds=2), 6)
    assert guard.holds(at + timedelta(hours=3, seconds=602), 606) is None


def test_p12_a_wrong_year_waits_for_a_person() -> None:
    guard, at = ClockGuard(), datetime(2026, 4, 1, tzinfo=UTC)
    guard.holds(at, 0)
    for second in range(1, 4000, 100):
        assert "restart" in guard.holds(at + timedelta(days=365, seconds=second), second)


def test_p12_a_clock_set_back_is_noticed() -> None:
    guard, at = ClockGuard(), datetime(2026, 4, 1, tzinfo=UTC)
    guard.holds(at, 0)
    assert guard.holds(at - timedelta(minutes=6), 1)


@contextmanager
def dripping(seconds_a_byte: float) -> Iterator[str]:
    """A receiver that answers a byte at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for byte in b"HTTP/1.1 204 No Content\r\n" + b"X-Slow: yes\r\n" * 50:
                    if stopped.wait(seconds_a_byte):
                        return
                    connection.sendall(bytes([byte]))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stopped.set()
        listener.close()
        thread.join(5)


def test_a_receiver_that_drips_is_given_up_at_the_limit(served: Served) -> None:
    limited = replace(served.settings, receiver_timeout_seconds=0.6)
    with dripping(0.1) as url:
        add_receiver(served, url)
        with database.reading(served.engine) as session:
            (receiver,) = alerts.active_receivers(session)
        started = time.monotonic()
        outcome = notify.send_test(receiver, now=served.clock(), settings=limited)
    assert not outcome.delivered
    assert time.monotonic() - started < 5


def test_a_receiver_that_thinks_before_it_answers_is_waited_for(served: Served, hook: Listener) -> None:
    patient = replace(served.settings, receiver_timeout_seconds=3.0)
    add_receiver(served, hook.url)
    hook.slow_seconds = 1.5
    with database.reading(served.engine) as session:
        (receiver,) = alerts.active_receivers(session)
    assert notify.send_test(receiver, now=served.clock(), settings=patient).delivered


def test_a_slow_receiver_does_not_hold_up_the_next_notice_of_another(served: Served, hook: Listener) -> None:
    client = served.client()
    client.post("/v1/policies", json=TREATMENT_RULE)
    for hospital in ("371402-H1", "371425-H1"):
        client.post("/v1/consumption", json=rows_of_use(hospital, "VENT", lambda _: 1, 60, TODAY))
    client.post("/v1/issues", json=issue(750))  # two items fall: two notices for each receiver
    with listening() as slow:
        slow.slow_seconds = 1.0
        add_receiver(served, slow.url)
        add_receiver(served, hook.url)
        assess_due(served.desk)
        thread = threading.Thread(target=deliver_due, args=(served.desk,))
        thread.start()
        for _ in range(90):
            if len(hook.heard) == 2:
                break
            time.sleep(0.01)
        heard_early = len(hook.heard)
        thread.join()
    assert heard_early == 2
    assert len(slow.heard) == 2


TREATMENT_RULE = {
    "code": "TREATMENT-30D",
    "category": "treatment",
    "scope": "371400",
    "kind": "days",
    "required_days": 30,
    "effective_from": "2026-04-01",
    "source_text": "演示",
}


# -- where we may call ------------------------------------------------------------------------------------------------

LOOPBACKS = [
    "http://127.0.0.1/x",
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://localhost/x",
    "https://0.0.0.0/x",
    "https://10.0.0.8/x",
    "https://172.16.0.1/x",
    "https://192.168.1.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/x",
    "https://224.0.0.1/x",
    "https://[fe80::1]/x",
    "https://[fc00::1]/x",
    "https://[64:ff9b::7f00:1]/x",
    "https://[2002:7f00:1::]/x",
    "https://user:password@203.0.113.1/x",
    "http://203.0.113.1/x",
    "https://203.0.113.1:8443/x",
    "ftp://203.0.113.1/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1/x",
    "https://",
    "https://[::1",
    "no address at all",
    "https://no-such-host.invalid/x",
]


@pytest.mark.parametrize("url", LOOPBACKS)
def test_a_receiver_inside_a_private_network_is_refused(url: str) -> None:
    with pytest.raises(notify.AddressRefused):
        notify.judge_address(url, Settings())


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/x"),
        ("10.1.0.0/16", "http://10.1.2.3/x"),
        ("localhost", "http://localhost:99/x"),
        ("::1", "http://[::1]:80/x"),
    ],
)
def test_an_operator_may_allow_an_inside_receiver(allow: str, url: str) -> None:
    assert notify.judge_address(url, Settings(receiver_allow=allow)).addresses


def test_an_address_refused_over_http_says_so(served: Served) -> None:
    body = {"name": "x", "url": "http://10.0.0.8/x", "scope": "371400"}
    answer = served.client().post("/v1/receivers", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "receiver_address_refused")


def test_an_alert_ends_when_the_policy_it_rests_on_ends(served: Served, hook: Listener) -> None:
    add_receiver(served, hook.url)
    served.client().post("/v1/issues", json=issue(750))
    beat(served.desk)
    ended = {
        "code": "PROTECTIVE-30D",
        "category": "protective",
        "scope": "371400",
        "kind": "days",
        "required_days": 30,
        "effective_from": "2026-04-02",
        "effective_until": "2026-04-02",
        "source_text": "到期",
    }
    assert served.client().post("/v1/policies", json=ended).status_code == 201
    served.clock.pass_by(days=2)
    beat(served.desk)
    assert [t["level"] for t in hook.heard] == ["orange", "unknown"]
    beat(served.desk)
    assert len(hook.heard) == 2
