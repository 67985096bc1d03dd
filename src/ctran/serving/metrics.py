"""Metrics of a server, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ctran.serving.store import Store

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_CALLS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Metrics of one server, in a separate registry."""

    def __init__(self, store: Store) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("ctran_requests", "responses", ["route", "status"], registry=registry)
        self.seconds = Histogram("ctran_request_seconds", "time to a response", ["route"], buckets=SECONDS, registry=registry)
        self.batches = Histogram("ctran_batch_calls", "calls in a batch", ["kind"], buckets=_CALLS, registry=registry)
        self.in_flight = Gauge("ctran_in_flight", "requests that are worked on", registry=registry)
        self.reloads = Counter("ctran_reloads", "loads of the model again", ["result"], registry=registry)
        Gauge("ctran_cached_images", "pictures in memory", registry=registry).set_function(lambda: len(store))
        Gauge("ctran_cached_bytes", "bytes of pictures in memory", registry=registry).set_function(lambda: store.nbytes)
