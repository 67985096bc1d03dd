"""Clients that use a server all the time, each over one connection, and check what they receive."""

import threading
from collections import Counter
from urllib.parse import unquote

import httpx

from tests.serving.conftest import encoded

PICTURES = 4
"""Different pictures that are sent."""


class Traffic:
    """Clients in threads, until the block ends or the server refuses connections.

    Each sends a picture, then predicts it with a known label. Every response must be one model's: that of the version in its
    header.

    Args:
        address: of the server.
        clients: number of threads.
        models: version -> tagger that the server may use.
        pause: seconds between two requests of a client.
    """

    def __init__(self, address, clients, models, pause=0.0):
        self.address, self.models, self.pause = address, models, pause
        self.statuses, self.versions, self.faults, self.ended = Counter(), Counter(), [], Counter()
        self._expected = {}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self):
        for version, tagger in self.models.items():
            for seed in range(PICTURES):
                session = tagger.session(encoded(seed=seed))
                self._expected[version, seed] = session.predict().probabilities, session.predict({"flag": True}).probabilities
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self.join()

    def responses(self):
        """Number of complete responses."""
        return sum(self.statuses.values())

    def join(self):
        """Wait for all clients to end."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _client(self, number):
        with httpx.Client(base_url=self.address, timeout=60) as client:
            try:
                while not self._stop.wait(self.pause):
                    self._round(client, number % PICTURES)
                self.ended["asked to"] += 1
            except httpx.ConnectError:
                self.ended["refused"] += 1
            except Exception as error:
                self.faults.append(f"{type(error).__name__}: {error}")

    def _round(self, client, seed):
        sent = client.post("/v1/images", content=encoded(seed=seed))
        if not self._checked(sent, 201, seed, 0):
            return
        known = client.post(f"/v1/images/{sent.json()['id']}/predict", json={"known": {"flag": True}})
        self._checked(known, 200, seed, 1)

    def _checked(self, response, status, seed, which):
        with self._lock:
            self.statuses[response.status_code] += 1
        if response.status_code == 503 and "retry-after" in response.headers:
            return False
        if response.status_code != status:
            self.faults.append(f"{response.status_code}: {response.text[:200]}")
            return False
        version = unquote(response.headers["ctran-model"])
        with self._lock:
            self.versions[version] += 1
        expected, found = self._expected[version, seed][which], response.json()["probabilities"]
        if expected.keys() != found.keys() or max(abs(expected[name] - found[name]) for name in found) > 1e-3:
            self.faults.append(f"{version} predicts {expected}, the response has {found}")
        return True
