"""Many clients at once over HTTP: nothing is sold twice, no key records twice, numbers have no gap."""

from collections import Counter
from collections.abc import Callable
from threading import Barrier, Thread

import httpx
import pytest
from crashing import servers
from fastapi.testclient import TestClient
from served import Served, issue, receipt
from sqlalchemy import Engine, text

from reserve import database, verify

CLIENTS = 32

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("city")]


def at_once(number: int, work: Callable[[int], object]) -> list:
    """Run `work` so many times together, each with its number; what each answered."""
    together, answers = Barrier(number), [None] * number

    def start(n: int) -> None:
        together.wait(60)
        answers[n] = work(n)

    threads = [Thread(target=start, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    return answers


def clients_of(served: Served) -> Callable[[int], httpx.Client]:
    """Clients of a server in this process, all with one key."""
    headers = {"Authorization": f"Bearer {served.key('clerk')}"}
    return lambda _: TestClient(served.app, headers=headers, raise_server_exceptions=False)


def clients_of_servers(addresses: list[str], secret: str) -> Callable[[int], httpx.Client]:
    """Clients of servers in other processes, by turns, all with one key."""
    headers = {"Authorization": f"Bearer {secret}"}
    return lambda n: httpx.Client(base_url=addresses[n % len(addresses)], headers=headers, trust_env=False, timeout=60)


def on_hand(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(text("SELECT coalesce(sum(on_hand), 0) FROM balance")).scalar_one()


def documents(engine: Engine, prefix: str) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT number FROM document WHERE number LIKE :like ORDER BY number"), {"like": f"{prefix}-%"}
        )
        return list(found.scalars())


def assert_numbers_without_gap_and_books_whole(engine: Engine, prefix: str) -> None:
    """Numbers of a kind run from 1 to the last within their day (a test over midnight has two)."""
    days: dict[str, list[int]] = {}
    for number in documents(engine, prefix):
        _, day, serial = number.split("-")
        days.setdefault(day, []).append(int(serial))
    assert all(given == list(range(1, len(given) + 1)) for given in days.values())
    with database.reading(engine) as session:
        assert verify.verify(session) == []


def race_for_one_lot(engine: Engine, client_of: Callable[[int], httpx.Client]) -> None:
    """32 clients want more than there is; what was sold and what is left add up, who was refused was right to be."""
    units, rounds = 200, 4
    with client_of(0) as client:
        assert client.post("/v1/receipts", json=receipt(units, expires="2036-01-31")).status_code == 201
    before = on_hand(engine)

    def work(n: int) -> list[tuple[int, httpx.Response]]:
        sizes = [1 + (n * 7 + turn * 3) % 5 for turn in range(rounds)]
        with client_of(n) as client:
            return [(size, client.post("/v1/issues", json=issue(size))) for size in sizes]

    answers = [pair for each in at_once(CLIENTS, work) for pair in each]
    left = on_hand(engine)
    statuses = Counter(answer.status_code for _, answer in answers)
    assert set(statuses) == {201, 409}, statuses
    assert sum(size for size, answer in answers if answer.status_code == 201) + left == before
    for size, answer in answers:
        told = answer.json()
        if answer.status_code == 201:
            assert sum(movement["quantity"] for movement in told["movements"]) == size
        else:
            assert told["code"] == "insufficient_stock"
            (line,) = told["lines"]
            assert left <= line["usable"] < size == line["requested"]
    assert len(documents(engine, "IS")) == statuses[201]
    assert_numbers_without_gap_and_books_whole(engine, "IS")


def race_for_one_key(engine: Engine, client_of: Callable[[int], httpx.Client]) -> None:
    """16 clients send the same keys at the same time: a document a key, the same answer to all."""
    keys, before = 6, len(documents(engine, "RC"))

    def work(n: int) -> list[httpx.Response]:
        body = receipt(7, expires="2036-01-31")
        with client_of(n) as client:
            return [
                client.post("/v1/receipts", json=body, headers={"Idempotency-Key": f"key-{turn}"})
                for turn in range(keys)
            ]

    answers = at_once(16, work)
    for turn in range(keys):
        same = [each[turn] for each in answers]
        assert {(answer.status_code, answer.content) for answer in same} == {(201, same[0].content)}
        assert sum("idempotent-replayed" not in answer.headers for answer in same) == 1
    assert len(documents(engine, "RC")) == before + keys
    assert_numbers_without_gap_and_books_whole(engine, "RC")


def test_p03_32_clients_empty_one_lot_and_nobody_is_sold_what_is_not_there(engine: Engine) -> None:
    race_for_one_lot(engine, clients_of(Served(engine)))


def test_p02_one_key_from_16_clients_at_once_gives_one_document_and_16_equal_answers(engine: Engine) -> None:
    race_for_one_key(engine, clients_of(Served(engine)))


def test_p02_p03_p09_two_servers_on_one_database_behave_as_one(engine: Engine, database_url: str) -> None:
    """Processes of their own: on PostgreSQL its locks keep them apart, on SQLite the lock file."""
    secret = Served(engine).key("clerk")
    with servers(database_url, 2) as started:
        client_of = clients_of_servers([address for _, address in started], secret)
        race_for_one_key(engine, client_of)
        race_for_one_lot(engine, client_of)


def test_p02_p03_the_same_key_sent_by_many_for_the_last_box_sells_it_once(engine: Engine) -> None:
    """Ten keys, four senders each, one unit on the shelf: one key wins, its senders all hear so, the others 409."""
    served = Served(engine)
    client = served.client("clerk")
    assert client.post("/v1/receipts", json=receipt(1)).status_code == 201
    answers = at_once(
        40,
        lambda n: client.post("/v1/issues", json=issue(1), headers={"Idempotency-Key": f"box-{n % 10}"}),
    )
    won = [answer for answer in answers if answer.status_code == 201]
    assert Counter(answer.status_code for answer in answers) == {201: 4, 409: 36}
    assert len({answer.content for answer in won}) == 1
    assert on_hand(engine) == 0
    assert_numbers_without_gap_and_books_whole(engine, "IS")


def test_two_hospitals_that_send_to_each_other_at_once_never_hear_of_a_deadlock(engine: Engine) -> None:
    """Transfers both ways over the same lots, taken in and settled at once: nothing is lost or doubled."""
    served = Served(engine)
    client = served.client("admin")
    ends = ("371400-W1", "371425-W1")
    for place in ends:
        for lot in ("A", "B", "C"):
            body = receipt(100, lot=lot) | {"location": place}
            assert client.post("/v1/receipts", json=body).status_code == 201

    def work(n: int) -> list[int]:
        heard = []
        for turn in range(4):
            source, target = ends if (n + turn) % 2 else ends[::-1]
            sent = client.post(
                "/v1/transfers",
                json={"source": source, "target": target, "lines": [{"item": "N95", "quantity": 40 + n}]},
            )
            heard.append(sent.status_code)
            if sent.status_code != 201:
                continue
            line = {name: sent.json()["movements"][0][name] for name in ("item", "lot_number")} | {"quantity": 1}
            path = f"/v1/transfers/{sent.json()['document']}"
            lost = line | {"outcome": "returned", "reason": "left behind"}
            heard.append(client.post(f"{path}/settlement", json={"lines": [lost]}).status_code)
            heard.append(client.post(f"{path}/receipt", json={}).status_code)
        return heard

    heard = Counter(status for each in at_once(8, work) for status in each)
    assert set(heard) <= {201, 409}
    assert heard[201] > 24
    assert on_hand(engine) == 600
    for prefix in ("TR", "TA", "TS"):
        assert_numbers_without_gap_and_books_whole(engine, prefix)
