"""What is counted while a service runs, as Prometheus reads it."""

from polymnia.errors import MissingExtra


class Figures:
    """Requests by path and status, their seconds, sizes of batches, and the version in use.

    Raises
    ------
    MissingExtra
        prometheus_client is not installed.
    """

    def __init__(self) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
        except ImportError:
            raise MissingExtra("prometheus_client", "serve") from None
        self.registry = CollectorRegistry()  # of its own: two services in a process do not share figures
        self.requests = Counter("polymnia_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "polymnia_request_seconds", "Seconds from request to answer.", ["path"], registry=self.registry
        )
        self.batches = Histogram(
            "polymnia_batch_requests", "Requests that went through the model together.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry,
        )  # fmt: skip
        self.reloads = Counter("polymnia_reloads", "Times that another version was taken up.", registry=self.registry)
        self.failures = Counter(
            "polymnia_reload_failures", "Times that what is in use could not be taken up.", registry=self.registry
        )
        self.started = Gauge("polymnia_started_seconds", "When the service began.", registry=self.registry)
        self.version = Info("polymnia_model", "The version in use.", registry=self.registry)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        from prometheus_client import generate_latest

        found: bytes = generate_latest(self.registry)
        return found
